"""One neuron's potential, recomputed in integers and checked against the spikes that were recorded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops.lif import LIF
from spikegpt_hls.sim.errors import SimulationError


def potentials(operation: LIF, inputs: Ints, spikes: Ints, starts: list[int]) -> np.ndarray:
    """``h`` of one neuron before its reset, in thresholds; SimulationError where its spikes are not the trace's."""
    up, membrane = operation.membrane.frac - operation.current.frac, 0
    reached = np.empty(len(inputs))
    for token, value in enumerate(np.asarray(inputs, np.int64)):
        membrane = (0 if token in starts else membrane) + (int(value) << up) >> 1
        reached[token] = membrane / operation.threshold
        if (membrane >= operation.threshold) != bool(spikes[token]):
            raise SimulationError(
                f"a membrane at {reached[token]:.4f} thresholds disagrees with the trace at token {token}"
            )
        membrane = 0 if spikes[token] else membrane
    return reached


def typical_neuron(spikes: Mapping[str, Ints]) -> tuple[str, int]:
    """The neuron whose firing rate is closest to 15 %, the rate that the paper assumes, so that both states show: its
    layer's name and its number."""
    best = [(float(np.abs(layer.mean(0) - 0.15).min()), name) for name, layer in spikes.items()]
    name = min(best)[1]
    return name, int(np.abs(spikes[name].mean(0) - 0.15).argmin())
