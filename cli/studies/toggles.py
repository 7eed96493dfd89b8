"""Toggles of a LIF, a WKV and a Linear of a trained network in RTL simulation: silent, typical and saturated operands,
beside what the energy model expects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import HLS
from spikegpt_hls.cli.steps import at_work
from spikegpt_hls.cli.steps.accountings import EnergyCosts
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.sim.energy.energy_table import EnergyTable

FILE = "toggles.json"
KINDS = ("LIF", "WKV", "Linear")
TOKENS = 32  # of held-out text: the typical operands


def toggles(runner: Runner) -> None:
    """``toggles.json`` in the preset's folder, and the table."""
    from spikegpt_hls.rtl_tests.simulator import require_tools

    require_tools()
    table = EnergyTable.read(runner.told(EnergyCosts).energy)
    runner.make(HLS)
    path = runner.place.folder / FILE
    blocks = _blocks(runner.place, runner.console, table)
    result = {"tokens": TOKENS, "blocks": blocks, "provenance": "measured: Verilator's SAIF of the RTL"}
    write_json(path, result)
    show(result, path, runner.console)


def _blocks(place: Workspace, console: Console, table: EnergyTable) -> dict[str, Any]:
    from spikegpt_hls.rtl_tests.top.toggles import toggles as count
    from spikegpt_hls.sim.energy.stimuli import compared, stimuli
    from spikegpt_hls.sim.traces import trace_of

    dataflow, _, _, pieces = at_work.run(place, console, TOKENS)
    traces, found = next(pieces).traces, {}
    for kind in KINDS:
        block = next((block for block in dataflow.blocks if block.kind == kind), None)
        if block is None or block.operation is None:  # the twin has no LIF
            continue
        shown = stimuli(block.operation, [trace_of(dataflow, traces, stream)[:TOKENS] for stream in block.inputs])
        with console.status(f"toggles: {block.name} in RTL simulation"):
            counted = count(block, shown, place.work / "toggles" / block.name)
        found[block.name] = {"kind": kind, **compared(block, shown, counted, table)}
    return found


def show(result: Mapping[str, Any], path: Path, console: Console) -> None:
    title = f"{result['tokens']} tokens; of typical: RTL toggles (measured), activity-scaled compute (derived)"
    table = Table("block", "stimulus", "toggles per token", "of typical", "pJ per token", "of typical", title=title)
    for name, block in result["blocks"].items():
        for stimulus, row in block["stimuli"].items():
            figures = f"{row['toggles']:,.0f}", f"{row['toggles_ratio']:.3f}", f"{row['scaled_compute_pj']:,.2f}"
            table.add_row(name, stimulus, *figures, f"{row['model_ratio']:.3f}")
    console.print(table)
    for name, block in result["blocks"].items():
        verdict = "the same order" if block["same_rank"] else "NOT the same order"
        say(
            console,
            f"{name}: {' < '.join(block['rtl_rank'])} by RTL, {' < '.join(block['model_rank'])} by model: {verdict}; "
            f"as counted, the compute is {block['compute_pj']:,.2f} pJ whatever the operands are",
        )
    say(console, f"{path}")
