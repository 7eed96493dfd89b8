"""What a size would take as hardware, with random weights: geometry, folding, resources, memory against named parts.

For networks that are too large to be trained or simulated here, and for those that are not: nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from rich.table import Table

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import folding, hls, resources
from spikegpt_hls.cli.workspace import Workspace, replacing
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.model.config import Config, preset

#: The published vocabularies (5458 characters, 50277 of GPT-NeoX), padded: 2 x 2729 and 3 x 16759 outputs, with
#: primes that large, would fold to next to nothing.
VOCABULARIES = {"46m": 5504, "216m": 50304}
MULTIPLIERS = 1024  # where nobody says how to fold
NETWORK = {"seed": 0, "weight_bits": "8", "activation_bits": "8"}


def make(request: Request) -> None:
    """``random/hls/size/`` of the preset's folder: ``dataflow.json``, ``resources.json`` and ``memory.json``."""
    request = replace(request, workspace=_workspace(request))
    _network(request)
    workspace = request.workspace
    outputs = (workspace.hls / "dataflow.json", workspace.resources, workspace.hls / "memory.json")
    step = folding.settled(request.step("size", (workspace.onnx, *hls.SOURCES), outputs, folding.DEFAULTS))
    if not step.up_to_date:
        with replacing(workspace.hls) as folder:
            dataflow = _dataflow(request, step.settings)
            write_json(folder / "dataflow.json", dataflow.to_json())
            _write(request, dataflow, folder, step.settings["clock"])
        step.done()
    show(request)


def _workspace(request: Request) -> Workspace:
    """Apart from the preset's trained network."""
    return Workspace(request.workspace.folder / "random", request.workspace.preset, "size")


def geometry(name: str) -> Config:
    config = preset(name).config
    return replace(config, vocabulary=VOCABULARIES.get(name, config.vocabulary))


def _network(request: Request) -> None:
    """``model.onnx`` and ``metrics.json`` of a random network."""
    workspace = request.workspace
    step = request.step("network", (), (workspace.onnx, workspace.metrics), NETWORK)
    if step.up_to_date:
        return
    from spikegpt_hls.quant.calibrate import random_network
    from spikegpt_hls.quant.export import export_sequence

    config, settings = geometry(workspace.preset), step.settings
    with request.console.status("size: a random network"):
        network = random_network(config.layers, config.channels, vocabulary=config.vocabulary, **settings)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with request.console.status(f"size: QONNX of {parameters:,} parameters"):
        export_sequence(network, workspace.folder)
    write_json(workspace.metrics, {"preset": workspace.preset, "weights": "random", **asdict(config), **settings})
    step.done()
    request.say(f"size: {workspace.onnx}")


def _dataflow(request: Request, settings: Mapping[str, Any]) -> Dataflow:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.graph import dataflow

    chosen = folding.chosen(request, settings, MULTIPLIERS)
    with request.console.status("size: QONNX to a dataflow by hls4ml and the SpikeRTL backend"):
        return dataflow(convert(request.workspace.onnx, request.workspace.folder, "SpikeRTL", **chosen))


def _write(request: Request, dataflow: Dataflow, folder: Any, clock: float) -> None:
    from spikegpt_hls.hls.planning import plan_of
    from spikegpt_hls.sim import sizing
    from spikegpt_hls.sim.memory import memory

    found = sizing.resources(dataflow, folder / "rtl", request.workspace.folder / "cache", request.console)
    write_json(folder / "resources.json", {**found, "groups": sizing.grouped(dataflow, found["blocks"])})
    write_json(folder / "memory.json", memory(dataflow, found["total"], plan_of(dataflow).interval, clock))


def show(request: Request) -> None:
    """The folding's sum, the blocks by kind, and the parts."""
    from spikegpt_hls.hls.planning import plan_of

    workspace = request.workspace
    geometry = json.loads(workspace.metrics.read_text())
    plan = plan_of(Dataflow.from_json(json.loads((workspace.hls / "dataflow.json").read_text())))
    request.say(
        f"{workspace.preset}: {geometry['layers']} layers, {geometry['channels']} channels, vocabulary "
        f"{geometry['vocabulary']}, random weights of {geometry['weight_bits']} bits"
    )
    request.say(
        f"{plan.multipliers} multipliers, {plan.lanes} lanes, {plan.interval:,g} cycles per token (derived), set by "
        f"{plan.bottleneck}"
    )
    _show_blocks(request)
    _show_parts(request)
    request.say(f"{workspace.resources}, {workspace.hls / 'memory.json'}")


def _show_blocks(request: Request) -> None:
    made = json.loads(request.workspace.resources.read_text())
    title = f"{made['family']}, {made['tool']}; ROMs of weights and embedding not included"
    table = Table("blocks", "", "count", *resources.COLUMNS.values(), title=title)
    for row in made["groups"]:
        figures = (f"{row[key]:,g}" for key in resources.COLUMNS)
        table.add_row(row["kind"], row["shape"], str(row["count"]), *figures)
    table.add_row("total (measured)", "", "", *(f"{made['total'][key]:,g}" for key in resources.COLUMNS))
    request.console.print(table)


def _show_parts(request: Request) -> None:
    found = json.loads((request.workspace.hls / "memory.json").read_text())
    request.say(
        f"constants: {found['constant_bits'] / 8e6:,.1f} MB; state: {found['state_bits_per_sequence'] / 8e3:,.1f} kB "
        f"per sequence; {found['tokens_per_s']:,.1f} tokens/s if it ran at {found['clock_mhz']:g} MHz (projected)"
    )
    columns = ("part", "blocks", "MB off chip", "MB/token", "GB/s", "board", "its GB/s", "tokens/s at most")
    table = Table(*columns)
    for name, row in found["parts"].items():
        board, bound = row.get("board"), row.get("tokens_per_s_at_most")
        figures = (row["outside_bytes"] / 1e6, row["bytes_per_token"] / 1e6, row["gb_per_s"])
        table.add_row(
            name,
            "fit" if row["blocks_fit"] else "too large",
            *(f"{figure:,.2f}" for figure in figures),
            board["board"] if board else "",
            f"{board['gb_per_s']:g}" if board else "",
            f"{bound:,.0f}" if bound else "",
        )
    request.console.print(table)
    request.say(
        "off the chip: constants that find no room in block RAM and UltraRAM (derived). A Linear that reads weights "
        "from a memory outside is not built: GB/s at the rate above, and the rate at the board's peak, are projected"
    )
