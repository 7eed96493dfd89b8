"""What the integer network does on a text: spikes and membranes of every LIF, and the values on every edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.units import Node, Run


@dataclass(frozen=True)
class Neurons:
    """One LIF layer over a sequence: ``spikes`` and ``charge`` ``h`` (T, C), the latter before the reset."""

    name: str
    spikes: Ints
    charge: NDArray[np.float64]

    @property
    def rates(self) -> NDArray[np.float64]:
        """Spikes per token of each neuron, (C,)."""
        return self.spikes.mean(0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Values:
    """Integers on a grid: what a layer writes, or its weights."""

    name: str
    integers: Ints
    format: Format


@dataclass(frozen=True)
class Observation:
    """``neurons`` in the order of the layers; ``activations`` and ``weights`` of everything that a matrix reads."""

    neurons: list[Neurons]
    activations: list[Values]
    weights: list[Values]


def observe(network: QuantSpikeGPT, ids: NDArray) -> Observation:
    """One sequence of ids (T,) from the initial state."""
    run = Run(trace={})
    with torch.no_grad():
        network.eval().compute(run, torch.from_numpy(np.asarray(ids, np.int64))[None])
    nodes = {node.name: node for node in blocks(network)}
    written = {name: nodes[name].operation.out.integers(value.numpy()[0]) for name, value in (run.trace or {}).items()}
    matrices = [node for node in nodes.values() if isinstance(node.operation, ops.Linear)]
    return Observation(
        [_neurons(node, written) for node in nodes.values() if isinstance(node.operation, ops.LIF)],
        [Values(f"into {n.name}", written[n.inputs[0]], nodes[n.inputs[0]].operation.out) for n in matrices],
        [Values(n.name, n.params["weight"], n.operation.param_format("weight")) for n in matrices],
    )


def _neurons(node: Node, written: dict[str, Ints]) -> Neurons:
    operation = node.operation
    assert isinstance(operation, ops.LIF)
    currents = written[node.inputs[0]][None] << (operation.membrane.frac - operation.current.frac)
    before, charges = np.zeros_like(currents[:, 0]), []
    for t in range(currents.shape[1]):
        charge = (before + currents[:, t]) >> 1
        charges.append(charge[0])
        before = np.where(charge >= operation.threshold, 0, charge)
    charge = operation.membrane.real(np.array(charges))
    assert np.array_equal(charge >= 1, written[node.name] == 1)
    return Neurons(node.name, written[node.name], charge)
