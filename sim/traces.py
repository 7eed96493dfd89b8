"""What the traces of a run say of a dataflow's streams: their integers, and the events among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.ring import layer_name
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.errors import SimulationError


def trace_of(dataflow: Dataflow, traces: Mapping[str, Ints], stream: str) -> Ints:
    """The integers on a stream: the trace of the block that made them, behind any forks; in a ring layer by layer of
    each token, (tokens * layers, channels)."""
    while stream != dataflow.source:
        block = dataflow.driver[stream]
        if block.operation is not None:
            return _every_layer([_of(traces, layer_name(block, number)) for number in range(block.layers)])
        if block.places:
            return _through(dataflow, traces, block, stream)
        stream = block.inputs[0]
    if stream not in traces and not dataflow.takes_ids:
        raise SimulationError(f"the traces lack {stream}, the integers that come in")
    return np.asarray(traces.get(stream, np.zeros((1, 1), np.int64)))


def _of(traces: Mapping[str, Ints], name: str) -> Ints:
    if name not in traces:
        raise SimulationError(f"the traces lack {name}, whose output they should hold")
    return np.asarray(traces[name])


def _every_layer(layers: list[Ints]) -> Ints:
    """(tokens, channels) of each layer as (tokens * layers, channels)."""
    return np.stack(layers, axis=1).reshape(-1, layers[0].shape[1]) if len(layers) > 1 else layers[0]


def _through(dataflow: Dataflow, traces: Mapping[str, Ints], ring: Block, stream: str) -> Ints:
    """What the ring gives to a layer's blocks, or what leaves it."""
    back = dataflow.driver[ring.inputs[1]]
    layers = [_of(traces, layer_name(back, number)) for number in range(ring.layers)]
    new = trace_of(dataflow, traces, ring.inputs[0])
    return layers[-1] if stream == ring.outputs[1] else _every_layer([new, *layers[:-1]])


class Pace(NamedTuple):
    """How a memory's controller answered: for each burst the cycles that its address waited to be taken, for each beat
    those since then or, if that was later, since the beat before it. What is asked for behind the last begins anew."""

    waits: Sequence[int]
    gaps: Sequence[int]


@dataclass(frozen=True)
class Asked:
    """What the tokens of a run ask of a memory outside: their ids, the inputs that are not 0 of each Linear that events
    drive, (tokens, or in a ring tokens * layers, inputs), and the cycles until the memory answers, or its pace."""

    tokens: Ints
    nonzero: Mapping[str, NDArray[np.bool_]]
    latency: int
    pace: Pace | None = None


def asked(
    dataflow: Dataflow, traces: Mapping[str, Ints], row: Ints, latency: int, pace: Pace | None = None
) -> Asked | None:
    """Of tokens that are sent in the order ``row``; None where all weights lie on the chip."""
    if dataflow.ring is None or dataflow.ring.rows is None:
        return None
    nonzero = {}
    for block in dataflow.blocks:
        if block.rows and block.events:
            inputs = trace_of(dataflow, traces, block.inputs[0]) != 0
            nonzero[block.name] = inputs.reshape(len(row), block.layers, -1)[row].reshape(-1, block.channels_in)
    return Asked(np.asarray(traces["tokens"])[row], nonzero, latency, pace)


def beats_read(dataflow: Dataflow, asked: Asked) -> dict[str, int]:
    """Beats of all tokens' rows, by Linear: of each wave of tokens that come one behind the other, the rows of inputs
    that are not 0 in one of them, or all rows."""
    found = {}
    for block in dataflow.blocks:
        if block.rows and block.kind == "Linear":
            count = block.channels_in * block.layers * -(-len(asked.tokens) // block.rows.batch)
            if block.events:
                count = rows_read(block, asked.nonzero[block.name])
            found[block.name] = count * tiling(block).beats
    return found


def rows_read(block: Block, nonzero: NDArray[np.bool_]) -> int:
    """Of all waves and layers, of inputs (tokens * layers, inputs) that are not 0."""
    return sum(int(wave.sum()) for wave in waves(block, nonzero))


def waves(block: Block, nonzero: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Of each wave of tokens that come one behind the other, (layers, inputs): not 0 in one of them."""
    assert block.rows is not None
    tokens = nonzero.reshape(-1, block.layers, block.channels_in)
    for first in range(0, len(tokens), block.rows.batch):
        yield np.any(tokens[first : first + block.rows.batch], axis=0)


def means(events: Mapping[str, Ints]) -> dict[str, float]:
    """Events of a token on average, by Linear."""
    return {name: float(counts.mean()) for name, counts in events.items()}


def events(dataflow: Dataflow, traces: Mapping[str, Ints], driven: bool = True) -> dict[str, Ints]:
    """How many inputs of each token are not 0, (tokens,), in a ring (tokens * layers,), in front of every Linear that
    they drive, or, not ``driven``, of every Linear, by its name.

    ``traces``: block name to (tokens, channels) integers.
    """
    return {
        block.name: np.count_nonzero(trace_of(dataflow, traces, block.inputs[0]), axis=1)
        for block in dataflow.blocks
        if block.events or (block.kind == "Linear" and not driven)
    }
