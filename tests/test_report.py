"""The report: one page that needs no network, the same figures as JSON, and a provenance for each of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, BinaryEmbedding, LayerNorm, Linear, Residual
from spikegpt_hls.sim.cycles import simulate
from spikegpt_hls.sim.energy import energy
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.report import Results, potentials, write_report

BYTE = Format(8, 4)
CHANNELS, LENGTHS = 8, (20, 30)


def fixed_timing(block):
    return Timing(0, 2) if block.operation is None else Timing(2, 4, stats=5, result=2)


def network():
    """ids -> emb -> fork -> (norm -> linear -> lif) + residual -> head, with the traces of two sequences."""
    rng = np.random.default_rng(0)
    gain = {"gain": rng.integers(20, 60, CHANNELS), "bias": np.zeros(CHANNELS, np.int64)}
    square, wide = {"weight": rng.integers(-90, 90, (8, 8))}, {"weight": rng.integers(-90, 90, (16, 8))}
    residual = Residual(Format(6, 0), CHANNELS, Format(1, 0, signed=False))
    nodes = [
        ("emb", BinaryEmbedding(BIT, 16, CHANNELS), ("ids",), {"table": rng.integers(0, 2, (16, CHANNELS))}),
        ("norm", LayerNorm(BYTE, CHANNELS, BIT, BYTE, BYTE), ("emb",), gain),
        ("linear", Linear(BYTE, 8, 8, BYTE, BYTE), ("norm",), square),
        ("blocks_0_att_lif", LIF.of(CHANNELS, BYTE), ("linear",), {}),
        ("residual", residual, ("emb", "blocks_0_att_lif"), {}),
        ("head", Linear(Format(20, 4), 8, 16, Format(6, 0), BYTE), ("residual",), wide),
    ]
    streams = {("emb", "norm"): "a", ("emb", "residual"): "b"}
    blocks = [Block("emb_fork", None, ("emb",), ("a", "b"), CHANNELS, CHANNELS, (BIT,), BIT, 2)]
    for name, op, inputs, _ in nodes:
        taken = tuple(streams.get((source, name), source) for source in inputs)
        formats = tuple(op.stream_format(stream) for stream in op.streams)
        depths = (64, 2) if len(inputs) > 1 else ()
        reuse = 16 if isinstance(op, Linear) else 1
        blocks.append(Block(name, op, taken, (name,), op.n_in, op.n_out, formats, op.out, 2, reuse, depths))
    blocks.insert(0, blocks.pop(1))
    runs = []
    for length in LENGTHS:
        run = {"ids": rng.integers(0, 16, (1, length))}
        for name, op, inputs, params in nodes:
            run[name] = op(*(run[source] for source in inputs), **params)
        runs.append(run)
    traces = {name: np.concatenate([run[name][0] for run in runs]) for name, *_ in nodes}
    return Dataflow(tuple(blocks), "ids", "head"), {**traces, "lengths": np.array(LENGTHS)}


@pytest.fixture
def results():
    dataflow, traces = network()
    metrics = {
        "preset": "hand", "parameters": 192, "val_bits_float": 2.5, "val_bits_integer": 2.51,
        "data": "<script>x</script>", "loss_curve": [3.0, 2.5, 2.0, 1.9], "steps_float": 2,
    }  # fmt: skip
    cosim = {
        "tokens": 50, "sequences": 2, "compared": 123456, "mismatches": 0, "cycles_per_token_rtl": 31.5,
        "traces": {
            "head": {"compared": 800, "mismatches": 0},
            "linear": {"compared": 400, "mismatches": 7, "kind": "Linear"},
        },
    }  # fmt: skip
    schedule = simulate(dataflow, sum(LENGTHS), timing=fixed_timing)
    return Results(dataflow, traces, schedule, energy(dataflow, traces, timing=fixed_timing), metrics, cosim)


def test_the_page_is_one_file_that_asks_no_network(results, tmp_path):
    page = write_report(tmp_path, results).read_text()
    assert page.count("<!doctype html>") == 1
    assert not re.search(r"<(script|img|iframe)[^>]+src=|<link[^>]+href=\"(?!data:)", page)
    assert "<script>x</script>" not in page
    assert page.count('class="plotly-graph-div"') == 6
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


def test_the_membrane_spikes_where_the_trace_does_or_it_is_not_shown(results):
    operation = results.dataflow["blocks_0_att_lif"].operation
    inputs, spikes = results.traces["linear"], results.traces["blocks_0_att_lif"].copy()
    assert spikes.any()
    for neuron in range(CHANNELS):
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
