"""The firing rate below which a spike-driven placement (LIF, then Linear) costs less than its twin without neurons.

The twin's Linear multiplies an input of several bits; the spike-driven one adds the weight of each input that spiked.
All else is equal, but that each input needs a neuron. Per token, over all Linears:

    twin:          D = multiplies + accumulates + weights read + inputs and results moved
    spike-driven:  S(r) = N + F + r * A
        N  neurons: integrate, threshold, membrane read and written, spikes sent
        F  what does not depend on the rate: inputs (1 bit) and results moved; the weights, where all are read anyway
        A  at rate 1: one accumulate per weight; the weights, where those of silent inputs are not read

    break-even:  r* = (D - N - F) / A;   of several time steps per token:  r* = (D / steps - N - F) / A

A hardware that does not read the weights of silent inputs can do so for the twin's zeros too: there D lacks the share
of its multiplies, accumulates and weights whose input was measured to be 0.

Above 1 the spike-driven placement costs less at any rate, below 0 at none. What spikes cost in accuracy is no part of
it. Of a canonical network and its twin no spike-driven one was built: projected, from the same actions and prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.ops import BIT, LIF, Linear
from spikegpt_hls.sim.energy.actions import Action, actions
from spikegpt_hls.sim.energy.energy_table import EnergyTable

Kept = Callable[[Action], bool]
PER_INPUT = ("weight x input", "accumulate", "weights")  # what an input that is 0 has no need of
TIME_STEPS = (1, 5)  # this model's, and the fewest of arXiv 2409.08290's moderate windows


@dataclass(frozen=True)
class BreakEven:
    """pJ per token over all Linears, and the rate at which both placements cost the same."""

    movement: str  # none; sparse: weights of silent inputs, and of the twin's zeros, are not read; dense: all are read
    time_steps: int
    twin_pj: float  # D
    neurons_pj: float  # N
    fixed_pj: float  # F
    per_rate_pj: float  # A

    @property
    def rate(self) -> float:
        return (self.twin_pj / self.time_steps - self.neurons_pj - self.fixed_pj) / self.per_rate_pj

    def spiking_pj(self, rate: float) -> float:
        return self.time_steps * (self.neurons_pj + self.fixed_pj + rate * self.per_rate_pj)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rate": self.rate, "provenance": "projected: no such network was built"}


def break_evens(
    dataflow: Dataflow,
    zeros: Mapping[str, float],
    table: EnergyTable | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
) -> list[BreakEven]:
    """Of a dataflow whose matrices read numbers, ``zeros`` being the share of each Linear's inputs that are 0: without
    data movement, and with it in two ways; for one time step per token and for several."""
    table = table or EnergyTable.load()
    linears = [block for block in dataflow.blocks if isinstance(block.operation, Linear)]
    found = []
    for movement in ("none", "sparse", "dense"):
        twin = neurons = fixed = per_rate = 0.0
        for block in linears:
            kept = _kept(movement)
            skipped = zeros[block.name] if movement == "sparse" else 0.0
            for action, pj in _priced(block, table, timing, kept):
                twin += pj * (1 - skipped) if action.what in PER_INPUT else pj
            neurons += _pj(_neurons(block), table, timing, kept)
            spiking = list(_priced(_spiking(block), table, timing, kept))
            rated = {"accumulate"} if movement == "dense" else {"accumulate", "weights"}
            per_rate += sum(pj for action, pj in spiking if action.what in rated)
            fixed += sum(pj for action, pj in spiking if action.what not in rated)
        found += [BreakEven(movement, steps, twin, neurons, fixed, per_rate) for steps in TIME_STEPS]
    return found


def _kept(movement: str) -> Kept:
    return (lambda action: not action.is_memory) if movement == "none" else (lambda action: True)


def _neurons(block: Block) -> Block:
    """A LIF for each input of a Linear, in the same lanes."""
    op = block.operation
    assert isinstance(op, Linear)
    lif = LIF.of(op.inputs, op.x)
    return replace(block, operation=lif, channels_out=op.inputs, format_in=(op.x,), format_out=BIT, reuse_factor=1)


def _spiking(block: Block) -> Block:
    """The same Linear, reading bits."""
    op = block.operation
    assert isinstance(op, Linear)
    return replace(block, operation=replace(op, x=BIT), format_in=(BIT,))


def _priced(
    block: Block, table: EnergyTable, timing: Callable[[Block], Timing], kept: Kept
) -> Iterator[tuple[Action, float]]:
    for action in actions(block, timing(block)):
        selects = action.kind == "multiply" and min(action.bits, action.other) == 1  # a product with a bit is none
        if kept(action) and not selects:
            yield action, action.count * table.pj(action)


def _pj(block: Block, table: EnergyTable, timing: Callable[[Block], Timing], kept: Kept) -> float:
    return sum(pj for _, pj in _priced(block, table, timing, kept))
