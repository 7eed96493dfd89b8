"""What a size would take as hardware, with random weights: geometry, folding, resources, memory against named parts.

For networks that are too large to be trained or simulated here, and for those that are not: nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import folding, hls, resources
from spikegpt_hls.cli.workspace import Workspace, replacing
from spikegpt_hls.hls.convert import reuse_factors
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.geometry import alike, assemble, widened
from spikegpt_hls.model.config import Config, preset
from spikegpt_hls.sim.parts import named
from spikegpt_hls.sim.roms import rom

if TYPE_CHECKING:
    from spikegpt_hls.quant.units import Node

#: The published vocabularies (5458 characters, 50277 of GPT-NeoX), padded: 2 x 2729 and 3 x 16759 outputs, with
#: primes that large, would fold to next to nothing.
VOCABULARIES = {"46m": 5504, "216m": 50304}
MULTIPLIERS = 1024  # where nobody says how to fold
STAND_IN = 64  # channels of the network whose formats are taken over
NETWORK = {"seed": 0, "weight_bits": "8", "activation_bits": "8"}


def make(request: Request) -> None:
    """``random/hls/size/`` of the preset's folder: ``dataflow.json``, ``resources.json`` and ``memory.json``."""
    named(request.options.get("part"))
    show(sized(request))


def sized(request: Request) -> Request:
    """The request for that folder, its files up to date."""
    request = replace(request, workspace=_workspace(request))
    workspace = request.workspace
    outputs = (workspace.metrics, workspace.hls / "dataflow.json", workspace.resources, workspace.hls / "memory.json")
    step = folding.settled(request.step("size", hls.SOURCES, outputs, {**folding.DEFAULTS, **NETWORK}))
    if not step.up_to_date:
        config = geometry(workspace.preset)
        dataflow = _dataflow(request, config, step.settings)
        network = {name: step.settings[name] for name in NETWORK}
        write_json(workspace.metrics, {"preset": workspace.preset, "weights": "random", **asdict(config), **network})
        with replacing(workspace.hls) as folder:
            write_json(folder / "dataflow.json", dataflow.to_json())
            _write(request, dataflow, folder, step.settings["clock"])
        step.done()
    return request


def _workspace(request: Request) -> Workspace:
    """Apart from the preset's trained network."""
    return Workspace(request.workspace.folder / "random", request.workspace.preset, "size")


def geometry(name: str) -> Config:
    config = preset(name).config
    return replace(config, vocabulary=VOCABULARIES.get(name, config.vocabulary))


def _stand_in(config: Config, settings: Mapping[str, Any]) -> dict[str, Node]:
    """Every operation of a network of random weights with ``STAND_IN`` channels, in seconds."""
    from spikegpt_hls.quant.network import blocks
    from spikegpt_hls.quant.training.calibrate import random_network

    return {node.name: node for node in blocks(random_network(config.layers, _narrow(config), **settings))}


def _narrow(config: Config) -> int:
    return max(width for width in range(1, STAND_IN + 1) if config.channels % width == 0)


def _dataflow(request: Request, config: Config, settings: Mapping[str, Any]) -> Dataflow:
    """That of the stand-in, widened: every width is the large network's, the binary points are what the small one's
    weights and activations asked for."""
    with request.console.status("size: the dataflow of a random network"):
        small = _stand_in(config, {name: settings[name] for name in NETWORK})
        narrow = {name: (node.operation, node.inputs) for name, node in small.items()}
        network = alike(widened(narrow, config.channels // _narrow(config), config.vocabulary))
        operations = {name: op for name, (op, _) in network.items()}
        chosen = folding.chosen(request, settings, MULTIPLIERS, operations, engine=False)
        if chosen["engine"]:
            raise ConversionError("make size leaves the ROMs of weights out, which an engine does not allow")
        factors = reuse_factors(operations, **chosen)
        found = assemble(network, chosen["lanes"], factors, chosen["contexts"])
    return replace(found, blocks=tuple(_with_constants(block, small) for block in found.blocks))


def _with_constants(block: Block, small: Mapping[str, Node]) -> Block:
    """Small constants, one per channel, drawn from the stand-in's values: they are synthesised. Weights are not."""
    if block.operation is None or rom(block):
        return block
    op, rng = block.operation, np.random.default_rng(0)
    values = small[block.name].params
    return replace(block, params={name: rng.choice(values[name].ravel(), op.param_shape(name)) for name in op.params})


def _write(request: Request, dataflow: Dataflow, folder: Any, clock: float) -> None:
    from spikegpt_hls.hls.fold.planning import plan_of
    from spikegpt_hls.sim.memory import memory
    from spikegpt_hls.sim.resources import sizing

    found = sizing.resources(dataflow, folder / "rtl", request.console)
    write_json(folder / "resources.json", {**found, "groups": sizing.grouped(dataflow, found["blocks"])})
    write_json(folder / "memory.json", memory(dataflow, found["total"], plan_of(dataflow).interval, clock))


def show(request: Request) -> None:
    """The folding's sum, the blocks by kind, and the parts."""
    from spikegpt_hls.hls.fold.planning import plan_of

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
    for name in (part.name for part in named(request.options.get("part"))):
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
    request.console.print(table)
    request.say(
        "off the chip: constants that find no room in block RAM and UltraRAM (derived). A Linear that reads weights "
        "from a memory outside is not built: GB/s at the rate above, and the rate at the board's peak, are projected"
    )
