"""What a size would take as hardware, with random weights: geometry, folding, resources, memory against named parts.

For networks that are too large to be trained or simulated here, and for those that are not: nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.settings import setting
from spikegpt_hls.cli.steps import activity, folding
from spikegpt_hls.cli.steps.folding import Folding
from spikegpt_hls.cli.steps.train import of_checkpoint
from spikegpt_hls.cli.workspace import Workspace, replacing
from spikegpt_hls.hls.convert import reuse_factors
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.geometry import Network, alike, assemble, widened
from spikegpt_hls.hls.fold.ring import SPATIAL
from spikegpt_hls.model.config import Config, preset
from spikegpt_hls.sim.roms import rom

if TYPE_CHECKING:
    from spikegpt_hls.quant.units import Node

#: The published vocabularies (5458 characters, 50277 of GPT-NeoX), padded: 2 x 2729 and 3 x 16759 outputs, with
#: primes that large, would fold to next to nothing.
VOCABULARIES = {"46m": 5504, "216m": 50304}
MULTIPLIERS = 1024  # where nobody says how to fold
STAND_IN = 64  # channels of the network whose formats are taken over
WRITES = ("metrics.json", "hls/size/dataflow.json", "hls/size/resources.json", "hls/size/memory.json")


@dataclass(frozen=True)
class Sizing(Folding):
    """Which network of random weights is sized, and its folding."""

    init: str | None = setting(
        None,
        "A checkpoint whose geometry is sized; its weights are not read any further.",
        example="SpikeGPT-216M.pth",
        otherwise="the preset's",
    )
    seed: int = setting(0, "Seed of the random weights.", click.IntRange(0), 1)
    weight_bits: str = setting("8", "Bits of weights: 8, 4 or 2 (ternary) for all layers, or by layer.", example="4")
    activation_bits: str = setting("8", "Bits of activations: 8 to 4 for all layers, or by layer.", example="6")

    placement: str = setting("canonical", "Where neurons stand: canonical or spike-driven.", example="spike-driven")
    hidden: str = setting(
        "squared-relu", "What a spike-driven network's hidden layer sends: squared-relu or bits.", example="bits"
    )
    events: float = setting(
        0.08,
        "Share of the inputs of a Linear that skips zeros which are not 0: an assumption.",
        click.FloatRange(0, 1, min_open=True),
        0.05,
    )

    def network(self) -> dict[str, Any]:
        """The arguments of ``random_network``."""
        names = ("seed", "weight_bits", "activation_bits", "placement", "hidden")
        return {name: getattr(self, name) for name in names}


def digests(place: Workspace, settings: Sizing, named: Mapping[str, Any]) -> dict[str, str]:
    start = {} if settings.init is None else {"init_sha256": of_checkpoint(Path(settings.init))}
    return folding.digests(place, settings, named) | start


def workspace(place: Workspace) -> Workspace:
    """Apart from the preset's trained network."""
    return Workspace(place.folder / "random", place.preset, "size")


def run(place: Workspace, settings: Sizing, console: Console) -> None:
    """``dataflow.json``, ``resources.json`` and ``memory.json`` of ``hls/size/``; the geometry, as ``metrics.json``."""
    if settings.depth != SPATIAL:
        raise ConversionError("make size knows networks with blocks for every layer: leave depth= out")
    config = geometry(place.preset) if settings.init is None else _geometry_in(Path(settings.init), settings)
    dataflow, events = _dataflow(place, config, settings, console)
    described = {"weights": "random", **asdict(config), **settings.network(), "events": events}
    write_json(place.metrics, {"preset": place.preset, "init": settings.init, **described})
    with replacing(place.hls) as folder:
        write_json(folder / "dataflow.json", dataflow.to_json())
        _write(dataflow, events, folder, settings.clock, console)


def geometry(name: str) -> Config:
    config = preset(name).config
    return replace(config, vocabulary=VOCABULARIES.get(name, config.vocabulary))


def _geometry_in(path: Path, settings: Sizing) -> Config:
    from spikegpt_hls.quant.training.pretrained import network_in

    body, _ = network_in(path, placement=settings.placement, hidden=settings.hidden)
    return body.config


def _stand_in(config: Config, settings: Sizing) -> dict[str, Node]:
    """Every operation of a network of random weights with ``STAND_IN`` channels, in seconds."""
    from spikegpt_hls.quant.network import blocks
    from spikegpt_hls.quant.training.calibrate import random_network

    return {node.name: node for node in blocks(random_network(config.layers, _narrow(config), **settings.network()))}


def _narrow(config: Config) -> int:
    return max(width for width in range(1, STAND_IN + 1) if config.channels % width == 0)


def _dataflow(
    place: Workspace, config: Config, settings: Sizing, console: Console
) -> tuple[Dataflow, dict[str, float]]:
    """That of the stand-in, widened: every width is the large network's, the binary points are what the small one's
    weights and activations asked for. And the events that its Linears are reckoned with."""
    with console.status("size: the dataflow of a random network"):
        small = _stand_in(config, settings)
        narrow = {name: (node.operation, node.inputs) for name, node in small.items()}
        network = alike(widened(narrow, config.channels // _narrow(config), config.vocabulary))
        operations = {name: op for name, (op, _) in network.items()}
        events = _events(network, settings)
        chosen = folding.chosen(place, settings, MULTIPLIERS, operations, engine=False, events=events)
        if chosen["engine"]:
            raise ConversionError("make size leaves the ROMs of weights out, which an engine does not allow")
        factors = reuse_factors(operations, **chosen)
        found = assemble(network, chosen["lanes"], factors, chosen["contexts"], events=chosen["events"])
    made = replace(found, blocks=tuple(_with_constants(block, small) for block in found.blocks))
    return made, {name: settings.events * operations[name].n_in for name in chosen["events"]}


def _events(network: Network, settings: Sizing) -> dict[str, float]:
    """Of a token, in front of each Linear that skips zeros: the share that is assumed."""
    written = {
        name: type(network[inputs[0]][0]).__name__ for name, (_, inputs) in network.items() if inputs[0] in network
    }
    names = activity.skips(written, settings.zeros, {name: op for name, (op, _) in network.items()})
    return {name: settings.events * network[name][0].n_in for name in names}


def _with_constants(block: Block, small: Mapping[str, Node]) -> Block:
    """Small constants, one per channel, drawn from the stand-in's values: they are synthesised. Weights are not."""
    if block.operation is None or rom(block):
        return block
    op, rng = block.operation, np.random.default_rng(0)
    values = small[block.name].params
    return replace(block, params={name: rng.choice(values[name].ravel(), op.param_shape(name)) for name in op.params})


def _write(dataflow: Dataflow, events: Mapping[str, float], folder: Path, clock: float, console: Console) -> None:
    from spikegpt_hls.hls.fold.planning import plan_of
    from spikegpt_hls.sim.memory import memory
    from spikegpt_hls.sim.resources import sizing

    found = sizing.resources(dataflow, folder / "rtl", console)
    write_json(folder / "resources.json", {**found, "groups": sizing.grouped(dataflow, found["blocks"])})
    write_json(folder / "memory.json", memory(dataflow, found["total"], plan_of(dataflow, events).interval, clock))
