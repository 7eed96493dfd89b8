"""Spending multipliers so that none idles: the ReuseFactor of every Linear, and the lanes of all streams.

A network is as fast as its slowest block: every other Linear gets the fewest multipliers that keep up with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import gcd

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.folding import legal_factors
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import interval
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear, Operation

MAX_LANES = 64


@dataclass(frozen=True)
class Choice:
    """One folding of a Linear: its cycles per token in the steady state, and what it costs."""

    interval: float
    multipliers: int
    reuse_factor: int


@dataclass(frozen=True)
class Plan:
    """``intervals`` are cycles per token of every block by itself; the largest is the network's."""

    lanes: int
    reuse_factors: Mapping[str, int]
    intervals: Mapping[str, float]
    multipliers: int  # of all Linears

    @property
    def interval(self) -> float:
        return max(self.intervals.values())

    @property
    def bottleneck(self) -> str:
        """The slowest block; a Linear, where one is as slow as any."""
        return max(self.intervals, key=lambda name: (self.intervals[name], name in self.reuse_factors))


def fastest(operations: Mapping[str, Operation], multipliers: int) -> Plan:
    """The plan with the fewest cycles per token that needs at most ``multipliers``; of equals, the cheapest."""
    plans = [plan for space in _spaces(operations) if (plan := space.fastest(multipliers))]
    if not plans:
        least = min(space.at(float("inf")).multipliers for space in _spaces(operations))
        raise ConversionError(f"{multipliers} multipliers are too few for this network: it needs {least} or more")
    return min(plans, key=lambda plan: (plan.interval, plan.multipliers, plan.lanes))


def cheapest(operations: Mapping[str, Operation], cycles: float) -> Plan:
    """The plan with the fewest multipliers that takes at most ``cycles`` per token; of equals, the fewest lanes."""
    plans = [space.at(cycles) for space in _spaces(operations) if space.intervals[0] <= cycles]
    if not plans:
        best = min(space.intervals[0] for space in _spaces(operations))
        raise ConversionError(
            f"no folding of this network takes {cycles:g} cycles per token or fewer: {best:g} is least"
        )
    return min(plans, key=lambda plan: (plan.multipliers, plan.lanes))


def next_step_up(operations: Mapping[str, Operation], plan: Plan) -> Plan | None:
    """The cheapest plan that is faster than ``plan``; None where there is none."""
    faster = [s.at(s.intervals[at - 1]) for s in _spaces(operations) if (at := bisect_left(s.intervals, plan.interval))]
    return min(faster, key=lambda found: (found.multipliers, found.interval, found.lanes), default=None)


def plan_of(dataflow: Dataflow) -> Plan:
    """How a dataflow was folded."""
    blocks = {block.name: block for block in dataflow.blocks if block.operation is not None}
    linears = {name: block for name, block in blocks.items() if isinstance(block.operation, Linear)}
    return Plan(
        dataflow.blocks[0].lanes,
        {name: block.reuse_factor for name, block in linears.items()},
        {name: interval(block) for name, block in blocks.items()},
        sum(block.channels_in * block.channels_out // block.reuse_factor for block in linears.values()),
    )


class _Space:
    """All foldings of a network with so many lanes."""

    def __init__(self, operations: Mapping[str, Operation], lanes: int) -> None:
        self.lanes = lanes
        self.choices = {n: _choices(op, lanes) for n, op in operations.items() if isinstance(op, Linear)}
        self.fixed = {n: interval(single(op, lanes, {})) for n, op in operations.items() if n not in self.choices}
        fastest_linears = [choices[0].interval for choices in self.choices.values()]
        floor = max([*self.fixed.values(), *fastest_linears])
        met = {choice.interval for choices in self.choices.values() for choice in choices}
        #: Cycles per token that a plan can have, ascending.
        self.intervals = sorted({floor, *(cycles for cycles in met if cycles > floor)})

    def at(self, cycles: float) -> Plan:
        """The fewest multipliers within ``cycles``, which is at least the least of ``intervals``."""
        chosen = {
            name: min((c for c in choices if c.interval <= cycles), key=lambda c: (c.multipliers, c.interval))
            for name, choices in self.choices.items()
        }
        return Plan(
            self.lanes,
            {name: choice.reuse_factor for name, choice in chosen.items()},
            self.fixed | {name: choice.interval for name, choice in chosen.items()},
            sum(choice.multipliers for choice in chosen.values()),
        )

    def fastest(self, multipliers: int) -> Plan | None:
        within = bisect_left(self.intervals, True, key=lambda cycles: self.at(cycles).multipliers <= multipliers)
        return self.at(self.intervals[within]) if within < len(self.intervals) else None


def _spaces(operations: Mapping[str, Operation]) -> list[_Space]:
    counts = {op.n_out for op in operations.values()}
    counts |= {op.n_in for op in operations.values() if not isinstance(op, BinaryEmbedding)}
    common = reduce(gcd, counts)
    return [_Space(operations, lanes) for lanes in range(1, MAX_LANES + 1) if common % lanes == 0]


def _choices(op: Linear, lanes: int) -> list[Choice]:
    """By interval, ascending."""
    block = single(op, lanes, {})
    foldings = [replace(block, reuse_factor=factor) for factor in legal_factors(op.inputs, op.outputs, lanes)]
    size = op.inputs * op.outputs
    return sorted(
        (Choice(interval(b), size // b.reuse_factor, b.reuse_factor) for b in foldings), key=lambda c: c.interval
    )
