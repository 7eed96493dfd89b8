"""Which Linears of a network skip the inputs that are 0, and how many of their inputs are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.ring import layer_name
from spikegpt_hls.quant.ops import Linear, Operation

NEURONS = "LIF"
#: What sends zeros: the operations in front of a Linear whose inputs are worth skipping.
QUIET = (NEURONS, "GradedSpike", "SquaredReLU")


class Events(NamedTuple):
    """Inputs of a token that are not 0, on held-out text."""

    mean: float
    p99: float  # 99 of 100 tokens have no more


def driven(place: Workspace, zeros: str | None, network: Mapping[str, Operation]) -> dict[str, Events]:
    """By the name of each Linear of the exported ``network`` that is driven by events.

    ``zeros`` is ``skip``, ``add``, or None: skip where neurons stand in front of matrices.
    """
    from spikegpt_hls.hls.convert import writers
    from spikegpt_hls.hls.frontend.onnx_graph import block_name

    names = skips(writers(place.onnx), zeros, network)
    if not names:
        return {}
    measured = json.loads(place.metrics.read_text()).get("events_per_token", {})
    found = {block_name(name): Events(**events) for name, events in measured.items()}
    # a version before did not count them: no promise
    return {name: found.get(name, Events(network[name].n_in, network[name].n_in)) for name in names}


def skips(written: Mapping[str, str], zeros: str | None, network: Mapping[str, Operation]) -> list[str]:
    """The Linears that are driven by events, by what ``written`` says of the operation in front of each."""
    if zeros == "add" or (zeros is None and NEURONS not in _in_front(written, network)):
        return []
    return [name for name, op in network.items() if isinstance(op, Linear) and written.get(name) in QUIET]


def _in_front(written: Mapping[str, str], network: Mapping[str, Operation]) -> set[str | None]:
    return {written.get(name) for name, op in network.items() if isinstance(op, Linear)}


def measured(place: Workspace, dataflow: Dataflow) -> dict[str, Events]:
    """``driven`` of a dataflow that was made of the exported network, whatever it does with zeros; of a block that
    computes several layers, in each of them on average."""
    blocks = [block for block in dataflow.blocks if block.operation is not None]
    names = {block.name: [layer_name(block, number) for number in range(block.layers)] for block in blocks}
    network = {name: block.operation for block in blocks for name in names[block.name] if block.operation is not None}
    found = driven(place, "skip", network)
    events = {block.name: [found[name] for name in names[block.name]] for block in blocks if block.events}
    return {
        name: Events(sum(each.mean for each in layers) / len(layers), max(each.p99 for each in layers))
        for name, layers in events.items()
    }
