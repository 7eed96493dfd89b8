"""What neurons do on a text: rates, dead and saturated neurons, intervals between spikes; zeros after squared ReLU.

Counted from traces, in sums that add up over pieces of a text. A neuron is dead where it never fired, saturated where
it fired at every token (as in ``model/training/firing.py``). An interval is the tokens from a neuron's spike to its
next one within a sequence; at most as long as the sequences, so short ones show no long intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.ring import layer_name
from spikegpt_hls.quant.format import Ints

LONGEST = 256  # the last bin of the histogram holds what is longer
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Counts:
    """Of one layer: ``hits`` per channel (spikes, or zeros after a squared ReLU), and intervals by length."""

    tokens: int
    hits: Ints  # (channels,)
    intervals: Ints  # (LONGEST + 1,): how many of each length

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tokens + other.tokens, self.hits + other.hits, self.intervals + other.intervals)


@dataclass(frozen=True)
class Layer:
    """``rate`` is per neuron and token; ``quantiles`` of the neurons' rates and of the intervals, which are None where
    no neuron fired twice; ``histogram`` has the intervals of 1, 2, ... tokens."""

    name: str
    neurons: int
    tokens: int
    rate: float
    dead: float
    saturated: float
    rate_quantiles: Mapping[str, float]
    interval_quantiles: Mapping[str, int] | None
    interval_mean: float | None
    histogram: tuple[int, ...]


def count(dataflow: Dataflow, traces: Mapping[str, Ints], lengths: Sequence[int]) -> dict[str, Counts]:
    """Of every LIF, the embedding and every squared ReLU, for sequences of ``lengths`` back to back."""
    return {name: _count(block, np.asarray(traces[name]), lengths) for name, block in watched(dataflow).items()}


def watched(dataflow: Dataflow) -> dict[str, Block]:
    """Under the name of the operation that a block computes, each layer's."""
    kinds = ("BinaryEmbedding", "LIF", "SquaredReLU")
    watched = [block for block in dataflow.blocks if block.kind in kinds]
    return {layer_name(block, number): block for block in watched for number in range(block.layers)}


def _count(block: Block, values: Ints, lengths: Sequence[int]) -> Counts:
    silent = block.kind == "SquaredReLU"
    hits = (values == 0) if silent else (values == 1)
    lengths_of = np.zeros(LONGEST + 1, np.int64) if silent else _intervals(hits, lengths)
    return Counts(len(values), hits.sum(0, dtype=np.int64), lengths_of)


def _intervals(spikes: np.ndarray, lengths: Sequence[int]) -> Ints:
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    neuron, token = np.nonzero(spikes.T)
    same = (np.diff(neuron) == 0) & (np.diff(sequence[token]) == 0)
    found = np.minimum(np.diff(token)[same], LONGEST)
    return np.bincount(found, minlength=LONGEST + 1).astype(np.int64)


def firing(dataflow: Dataflow, counts: Mapping[str, Counts]) -> dict[str, Any]:
    """Plain data: ``layers`` of LIF and embedding by name, ``sparsity`` after each squared ReLU, and the ``rate`` of
    all LIF neurons (None where there are none)."""
    kinds = {name: block.kind for name, block in watched(dataflow).items()}
    spiking = {name: _layer(name, c) for name, c in counts.items() if kinds[name] != "SquaredReLU"}
    return {
        "layers": {name: asdict(layer) for name, layer in spiking.items()},
        "sparsity": {
            name: float(c.hits.sum()) / (c.tokens * len(c.hits))
            for name, c in counts.items()
            if kinds[name] == "SquaredReLU"
        },
        "rate": _overall([spiking[name] for name, kind in kinds.items() if kind == "LIF"]),
        "provenance": "measured",
    }


def _overall(layers: Sequence[Layer]) -> float | None:
    neurons = sum(layer.neurons for layer in layers)
    return sum(layer.rate * layer.neurons for layer in layers) / neurons if neurons else None


def _layer(name: str, counts: Counts) -> Layer:
    rates = counts.hits / counts.tokens
    total = int(counts.intervals.sum())
    reached = np.cumsum(counts.intervals)
    quantiles = {f"{q:g}": int(np.searchsorted(reached, q * total)) for q in QUANTILES} if total else None
    longest = int(np.max(np.nonzero(counts.intervals)[0], initial=0))
    return Layer(
        name=name,
        neurons=len(rates),
        tokens=counts.tokens,
        rate=float(counts.hits.sum()) / (counts.tokens * len(rates)),
        dead=float((counts.hits == 0).mean()),
        saturated=float((counts.hits == counts.tokens).mean()),
        rate_quantiles={f"{q:g}": float(v) for q, v in zip(QUANTILES, np.quantile(rates, QUANTILES), strict=True)},
        interval_quantiles=quantiles,
        interval_mean=float(counts.intervals @ np.arange(LONGEST + 1)) / total if total else None,
        histogram=tuple(int(n) for n in counts.intervals[1 : longest + 1]),
    )
