"""What the traces of a run say of a dataflow's streams: their integers, and the events among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.errors import SimulationError


def trace_of(dataflow: Dataflow, traces: Mapping[str, Ints], stream: str) -> Ints:
    """The integers on a stream: the trace of the block that made them, behind any forks."""
    while stream != dataflow.source:
        block = dataflow.driver[stream]
        if block.operation is not None:
            if block.name not in traces:
                raise SimulationError(f"the traces lack {block.name}, whose output they should hold")
            return np.asarray(traces[block.name])
        stream = block.inputs[0]
    if stream not in traces and not dataflow.takes_ids:
        raise SimulationError(f"the traces lack {stream}, the integers that come in")
    return np.asarray(traces.get(stream, np.zeros((1, 1), np.int64)))


def means(events: Mapping[str, Ints]) -> dict[str, float]:
    """Events of a token on average, by Linear."""
    return {name: float(counts.mean()) for name, counts in events.items()}


def events(dataflow: Dataflow, traces: Mapping[str, Ints], driven: bool = True) -> dict[str, Ints]:
    """How many inputs of each token are not 0, (tokens,), in front of every Linear that they drive, or, not ``driven``,
    of every Linear, by its name.

    ``traces``: block name to (tokens, channels) integers.
    """
    return {
        block.name: np.count_nonzero(trace_of(dataflow, traces, block.inputs[0]), axis=1)
        for block in dataflow.blocks
        if block.events or (block.kind == "Linear" and not driven)
    }
