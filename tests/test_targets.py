"""Targets: every file of the folder is one, and what it states reaches the RTL."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.main import cli
from spikegpt_hls.cli.steps import folding
from spikegpt_hls.cli.steps.folding import Folding
from spikegpt_hls.cli.targets import xilinx
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.convert import convert, operations
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.planning import fastest
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.rtl.blocks import parameters
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.sim.resources import synthesis

FOLDER = Path(targets.__file__).parent
NEW = """from spikegpt_hls.cli.targets import Target

TARGET = Target("abacus", "beads", multiplier=(9, 9))
"""


def test_every_file_is_a_target_of_its_name() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert set(targets.targets()) == files
    assert all(target.summary and "\n" not in target.summary for target in targets.targets().values())


def test_a_new_file_is_a_new_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "abacus.py").write_text(NEW)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path)])
    targets.targets.cache_clear()
    try:
        assert targets.target("abacus").multiplier == (9, 9)
    finally:
        targets.targets.cache_clear()


def test_a_target_spends_its_budget_where_no_folding_is_asked_for(random48: Path) -> None:
    place = Workspace(random48, "random48", "ecp5")
    network = operations(random48 / "model.onnx")
    plan = fastest(network, 24, engine=False)
    chosen = {"lanes": plan.lanes, "reuse_factor": plan.reuse_factors, "contexts": 1, "engine": (), "events": ()}
    assert folding.chosen(place, Folding(), 24) == chosen
    assert folding.chosen(place, Folding(lanes=2), 24) == {
        "lanes": 2,
        "reuse_factor": None,
        "contexts": 1,
        "engine": (),
        "events": (),
    }
    assert folding.chosen(place, Folding(), 240)["lanes"] > 1
    assert folding.chosen(place, Folding(), 240, most_lanes=1)["lanes"] == 1
    shared = fastest(network, 24)
    assert shared.members
    asked = Folding(multipliers=24)
    assert folding.chosen(place, asked)["engine"] == shared.members
    assert not folding.chosen(place, asked, engine=False)["engine"]


def test_help_names_every_target() -> None:
    shown = " ".join(CliRunner().invoke(cli, ["hls", "--help"]).output.split())
    for target in targets.targets().values():
        assert f"{target.name}: {target.summary}" in shown


def test_the_multiplier_of_a_target_reaches_its_linears(random48: Path, tmp_path: Path) -> None:
    graph = convert(random48 / "model.onnx", tmp_path, "SpikeRTL", lanes=2, multiplier=(18, 18))
    graph.write()
    kept = Dataflow.from_json(json.loads((tmp_path / "rtl" / "dataflow.json").read_text()))
    assert kept == dataflow(graph)
    wide = {block.name: parameters(block)["WIDE"] for block in kept.blocks if "WIDE" in parameters(block)}
    assert set(wide.values()) == {18}
    assert {block.name for block in kept.blocks if block.kind == "Linear"} < wide.keys()
    assert (tmp_path / "rtl" / "spikegpt.sv").read_text().count(".WIDE(18)") == len(wide)


def test_a_vitis_project_is_not_written_of_weights_in_a_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(random_network(1, 8, seed=1, vocabulary=16, formats="shared"), tmp_path)
    folded = {"lanes": 2, "contexts": 1, "events": (), "reuse_factor": None}
    graph = convert(tmp_path / "model.onnx", tmp_path / "made", "SpikeRTL", lanes=2, depth="folded", weights="memory")
    graph.write()
    monkeypatch.setattr(synthesis, "resources", lambda *_, **__: {"blocks": {}})
    place = Workspace(tmp_path, "tiny", "xilinx")
    console = Console(record=True)
    xilinx.finish(targets.Build(place, console, tmp_path / "made", folded, dataflow(graph)))
    made = json.loads((tmp_path / "made" / "resources.json").read_text())
    assert (made["vitis"], made["not_run"]) == (None, "a Vitis project has its weights on the chip")
    assert "m_axi_araddr" in (tmp_path / "made" / "ip" / "spikegpt_ip.v").read_text()
    assert not (tmp_path / "made" / "vitis").exists()
    assert made["not_run"] in console.export_text()
