"""The report: one page that needs no network, the same figures as JSON, and a provenance for each of them."""

import json
import re
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator
from markupsafe import escape

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.parts import named
from spikegpt_hls.sim.projection.project import as_json, project
from spikegpt_hls.sim.report.membrane import potentials
from spikegpt_hls.sim.report.page import write_projected, write_report
from spikegpt_hls.sim.report.summary import schema


def test_the_page_is_one_file_that_asks_no_network(results, tmp_path):
    page = write_report(tmp_path, results).read_text()
    assert page.count("<!doctype html>") == 1
    assert not re.search(r"<(script|img|iframe)[^>]+src=|<link[^>]+href=\"(?!data:)", page)
    assert "<script>x</script>" not in page
    assert page.count('class="plotly-graph-div"') == 7
    assert "123,456" in page
    assert '<td class="wrong">7</td>' in page


def test_json_has_the_page_s_figures_and_each_its_provenance(results, tmp_path):
    write_report(tmp_path, results)
    content = json.loads((tmp_path / "report.json").read_text())
    figures = content["figures"]
    assert {figure["provenance"] for figure in figures.values()} == {"measured", "derived"}
    assert all(figure["source"] and figure["command"].startswith("make ") for figure in figures.values())
    assert figures["energy_total"]["value"] * 1e3 == pytest.approx(
        sum(block["compute_pj"] + block["memory_pj"] for block in content["blocks"]), rel=1e-12
    )
    assert figures["cycles_per_token_steady"]["value"] == results.schedule.cycles_per_token
    assert [block["name"] for block in content["blocks"]] == [block.name for block in results.dataflow.blocks]


def test_a_figure_without_a_provenance_breaks_the_schema(results, tmp_path):
    write_report(tmp_path, results)
    content = json.loads((tmp_path / "report.json").read_text())
    assert Draft202012Validator(schema()).is_valid(content)
    for broken in ({"provenance": "guessed"}, {"source": ""}, {"command": "python x.py"}, {"value": None}):
        figures = content["figures"] | {"macs": content["figures"]["macs"] | broken}
        assert not Draft202012Validator(schema()).is_valid(content | {"figures": figures})


def test_resources_appear_where_they_were_made(results, tmp_path):
    used = {"lut": 1234, "ff": 5, "dsp": 0, "bram36": 0.5}
    made = {
        "family": "xc7",
        "tool": "Yosys 0.70",
        "blocks": dict.fromkeys((b.name for b in results.dataflow.blocks), used),
    }
    page = write_report(tmp_path, replace(results, resources=made)).read_text()
    assert "BRAM36" in page
    assert "8,638" in page  # seven blocks
    assert "BRAM36" not in write_report(tmp_path, results).read_text()


@pytest.mark.parametrize(("routed", "said"), [(52.75, "is met"), (48.41, "is NOT met")])
def test_a_routed_design_says_whether_its_clock_is_met(routed, said, results, tmp_path):
    used = {"lut": 1234, "ff": 5, "dsp": 0, "bram36": 0.5}
    made = {
        "family": "ecp5", "tool": "nextpnr", "blocks": {"ulx3s": used}, "total": used,
        "model": {**used, "fmax_mhz": routed}, "clock_mhz": 50.0,
    }  # fmt: skip
    page = write_report(tmp_path, replace(results, resources=made)).read_text()
    assert f"{routed:.1f} MHz; its clock of 50 MHz {said}." in page
    failed = {**made, "model": {"not_run": "too large"}}
    assert "its clock" not in write_report(tmp_path, replace(results, resources=failed)).read_text()


def test_accountings_and_parts_appear_where_they_were_made(results, tmp_path):
    row = {"compute_pj": 1e3, "movement_pj": 2e3, "total_pj": 3e3, "source": "by hand"}
    made = {
        "characters": 10, "table": {"node": "45 nm"}, "break_even": [], "conclusions": ["Spikes cost what they cost"],
        "paper": {
            "source": "the paper",
            "findings": [{"claim": "ratio", "stated": 32.2, "found": 5.0, "reproduces": False}],
        },
        "rows": [
            {"accounting": name, "label": "as is", "bits_per_character": 2.5, "provenance": "derived", **row}
            for name in ("paper", "as built", "twin", "this hardware")
        ],
    }  # fmt: skip
    used = {"lut": 30_000, "ff": 10, "dsp": 2, "bram36": 3.0}
    found = project(results.dataflow, used, named(None), 100.0, whole=True)
    projected = as_json(results.dataflow, found, "make report preset=hand", whole=True)
    path = write_report(tmp_path, replace(results, accountings=made, projected=projected))
    page = path.read_text()
    assert page.count('class="plotly-graph-div"') == 9
    assert "Spikes cost what they cost." in page
    content = json.loads((tmp_path / "report.json").read_text())
    parts = content["projected"]["parts"]
    assert {name: part["fits"] for name, part in parts.items() if part["part"]["family"] == "xc7"} == {
        "XC7Z020": True, "XC7A100T": True, "XCK26": True, "XCVC1902": True, "XCU55C": True,
    }  # fmt: skip
    assert parts["LFE5U-25F"]["fits"] is False  # it has 24,288 LUT
    assert {figure["provenance"] for part in parts.values() for figure in part["figures"].values()} == {"projected"}


def test_a_size_that_cannot_be_run_has_a_page_of_its_own(results, tmp_path):
    found = project(results.dataflow, {"lut": 1, "ff": 1, "dsp": 1, "bram36": 0.0}, named("XCU55C"), 100.0)
    content = {"preset": "<46m>", **as_json(results.dataflow, found, "make report preset=46m")}
    page = write_projected(tmp_path, content).read_text()
    assert "&lt;46m&gt;, projected" in page
    assert page.count('class="plotly-graph-div"') == 1
    assert all(f"<li>{escape(line)}</li>" in page for line in content["assumptions"])


def test_the_membrane_spikes_where_the_trace_does_or_it_is_not_shown(results):
    operation = results.dataflow["blocks_0_att_lif"].operation
    inputs, spikes = results.traces["linear"], results.traces["blocks_0_att_lif"].copy()
    assert spikes.any()
    for neuron in range(spikes.shape[1]):
        reached = potentials(operation, inputs[:, neuron], spikes[:, neuron], results.starts)
        assert ((reached >= 1) == (spikes[:, neuron] == 1)).all()
    spikes[3, 0] ^= 1
    with pytest.raises(SimulationError, match="token 3"):
        potentials(operation, inputs[:, 0], spikes[:, 0], results.starts)


def test_a_report_that_cannot_be_written_leaves_the_old_one(results, tmp_path):
    (tmp_path / "report").write_text("in the way")
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(SimulationError, match="cannot be written"):
        write_report(tmp_path, results)
    assert (tmp_path / "report.json").read_text() == "old"


def test_events_are_shown_where_matrices_are_driven_by_them(results, tmp_path):
    """8 inputs, 8 outputs in 2 rows of 4: an event reads 8 weights."""
    blocks = tuple(replace(b, events=b.name == "linear") for b in results.dataflow.blocks)
    cosim = {**results.cosim, "events": {"linear": [0, 3] * 150}}
    runs = [
        {"name": name, "kind": "spike-driven", "events_share": share, "val_bits_integer": 2.5, "channels": 8}
        for name, share in (("hand", 0.08), ("quieter", 0.05))
    ]
    driven = replace(results, dataflow=replace(results.dataflow, blocks=blocks), cosim=cosim, runs=runs, run="hand")
    page = write_report(tmp_path, driven).read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["events"] == [{"name": "linear", "inputs": 8, "mean": 1.5, "most": 3, "weights": 64, "reads": 12.0}]
    assert page.count('class="plotly-graph-div"') == 7 + 3  # heat map, reads, loss against events
    assert "What fewer events cost" in page
    assert "<td>18.75 %</td>" in page
    before = write_report(tmp_path / "before", results).read_text()
    assert "What fewer events cost" not in before
    assert "<h2>Events</h2>" not in before
