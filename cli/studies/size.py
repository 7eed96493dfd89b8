"""``size``: what a preset takes as hardware, with random weights, against named parts."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import SIZE
from spikegpt_hls.cli.steps import resources
from spikegpt_hls.cli.steps.report import Parts
from spikegpt_hls.cli.steps.size import workspace
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.sim.parts import named


def size(runner: Runner) -> None:
    """``random/hls/size/`` of the preset's folder, and its tables."""
    parts = runner.told(Parts)
    named(parts.part)
    show(sized(runner), parts, runner.console)


def sized(runner: Runner) -> Workspace:
    """That folder, its files up to date."""
    other = runner.elsewhere(workspace(runner.place))
    other.make(SIZE, asked=True)
    return other.place


def show(place: Workspace, settings: Parts, console: Console) -> None:
    """The folding's sum, the blocks by kind, and the parts."""
    from spikegpt_hls.hls.fold.planning import plan_of

    geometry = json.loads(place.metrics.read_text())
    dataflow = Dataflow.from_json(json.loads((place.hls / "dataflow.json").read_text()))
    plan = plan_of(dataflow, geometry.get("events", {}))
    say(
        console,
        f"{place.preset}: {geometry['layers']} layers, {geometry['channels']} channels, vocabulary "
        f"{geometry['vocabulary']}, random weights of {geometry['weight_bits']} bits",
    )
    say(
        console,
        f"{plan.multipliers} multipliers, {plan.lanes} lanes, {plan.interval:,g} cycles per token (derived), set by "
        f"{plan.bottleneck}",
    )
    _show_blocks(place, console)
    _show_parts(place, settings, console)
    say(console, f"{place.resources}, {place.hls / 'memory.json'}")


def _show_blocks(place: Workspace, console: Console) -> None:
    made = json.loads(place.resources.read_text())
    title = f"{made['family']}, {made['tool']}; ROMs of weights and embedding not included"
    table = Table("blocks", "", "count", *resources.COLUMNS.values(), title=title)
    for row in made["groups"]:
        figures = (f"{row[key]:,g}" for key in resources.COLUMNS)
        table.add_row(row["kind"], row["shape"], str(row["count"]), *figures)
    table.add_row("total (measured)", "", "", *(f"{made['total'][key]:,g}" for key in resources.COLUMNS))
    console.print(table)


def _show_parts(place: Workspace, settings: Parts, console: Console) -> None:
    found = json.loads((place.hls / "memory.json").read_text())
    say(
        console,
        f"constants: {found['constant_bits'] / 8e6:,.1f} MB; state: {found['state_bits_per_sequence'] / 8e3:,.1f} kB "
        f"per sequence; {found['tokens_per_s']:,.1f} tokens/s if it ran at {found['clock_mhz']:g} MHz (projected)",
    )
    columns = ("part", "blocks", "MB off chip", "MB/token", "GB/s", "board", "its GB/s", "tokens/s at most")
    table = Table(*columns)
    for name in (part.name for part in named(settings.part)):
        row = found["parts"][name]
        board, bound = row["board"], row.get("tokens_per_s_at_most")
        figures = (row["outside_bytes"] / 1e6, row["bytes_per_token"] / 1e6, row["gb_per_s"])
        table.add_row(
            name,
            "fit" if row["blocks_fit"] else "too large",
            *(f"{figure:,.2f}" for figure in figures),
            board["name"],
            f"{board['gb_per_s']:g}",
            f"{bound:,.0f}" if bound else "",
        )
    console.print(table)
    say(
        console,
        "off the chip: constants that find no room in block RAM and UltraRAM (derived). A Linear that reads weights "
        "from a memory outside is not built: GB/s at the rate above, and the rate at the board's peak, are projected",
    )
