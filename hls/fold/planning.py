"""Spending multipliers so that none idles: the ReuseFactor of every Linear, who shares an engine, the lanes of streams.

A network is as fast as its slowest block: every other Linear gets the fewest multipliers that keep up with it. Or one
engine of so many multipliers takes all the Linears that can share it, and the others have their own. An engine needs as
many cycles per token as its members together. A Linear that is driven by events is reckoned with those that a token has
on average, and never shares.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from math import gcd
from types import MappingProxyType

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.engine import NAME, share, shareable
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.fold.limits import padded
from spikegpt_hls.hls.fold.rows import NAME as ROWS
from spikegpt_hls.hls.fold.rows import shared_beats
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.timing import interval
from spikegpt_hls.quant.ops import Linear, Operation

MAX_LANES = 64
#: Of a token, on average, by the name of each Linear that is driven by them.
Events = Mapping[str, float]
DENSE: Events = MappingProxyType({})


@dataclass(frozen=True)
class Choice:
    """One folding of a Linear: its cycles per token in the steady state, and what it costs."""

    interval: float
    multipliers: int
    reuse_factor: int
    shareable: bool  # on an engine


@dataclass(frozen=True)
class Plan:
    """``intervals`` are cycles per token of every block by itself, and of the engine; the largest is the network's."""

    lanes: int
    reuse_factors: Mapping[str, int]
    intervals: Mapping[str, float]
    multipliers: int  # of all Linears
    members: tuple[str, ...] = ()  # of the engine, in the order of the network

    @property
    def interval(self) -> float:
        return max(self.intervals.values())

    @property
    def bottleneck(self) -> str:
        """The slowest block; the engine or a Linear, where one is as slow as any."""
        multiplies = {NAME, *self.reuse_factors}
        return max(self.intervals, key=lambda name: (self.intervals[name], name == NAME, name in multiplies))


def fastest(
    operations: Mapping[str, Operation],
    multipliers: int,
    engine: bool = True,
    events: Events = DENSE,
    most_lanes: int | None = None,
) -> Plan:
    """The plan with the fewest cycles per token that needs at most ``multipliers``; of equals, one without an engine,
    then the cheapest. ``engine``: whether it may have one. The multipliers of blocks that are no Linears grow with the
    lanes, and are not among these: ``most_lanes`` bounds them."""
    spaces = [space for space in _spaces(operations, engine, events) if space.lanes <= (most_lanes or MAX_LANES)]
    plans = [plan for space in spaces if (plan := space.fastest(multipliers))]
    if not plans:
        least = min(space.at(float("inf")).multipliers for space in spaces)
        raise ConversionError(f"{multipliers} multipliers are too few for this network: it needs {least} or more")
    return min(plans, key=lambda plan: (plan.interval, bool(plan.members), plan.multipliers, plan.lanes))


def cheapest(operations: Mapping[str, Operation], cycles: float, engine: bool = True, events: Events = DENSE) -> Plan:
    """The plan with the fewest multipliers that takes at most ``cycles`` per token; of equals, one without an engine,
    then the fewest lanes. ``engine``: whether it may have one."""
    spaces = _spaces(operations, engine, events)
    plans = [space.at(cycles) for space in spaces if space.intervals[0] <= cycles]
    if not plans:
        best = min(space.intervals[0] for space in spaces)
        raise ConversionError(
            f"no folding of this network takes {cycles:g} cycles per token or fewer: {best:g} is least"
        )
    return min(plans, key=lambda plan: (plan.multipliers, bool(plan.members), plan.lanes))


def next_step_up(operations: Mapping[str, Operation], plan: Plan, events: Events = DENSE) -> Plan | None:
    """The cheapest plan that is faster than ``plan``; None where there is none."""
    spaces = _spaces(operations, True, events)
    faster = [s.at(s.intervals[at - 1]) for s in spaces if (at := bisect_left(s.intervals, plan.interval))]
    return min(
        faster, key=lambda found: (found.multipliers, found.interval, bool(found.members), found.lanes), default=None
    )


def within(op: Operation, lanes: int, cycles: float, events: float) -> int:
    """The ReuseFactor with the fewest adders that takes at most ``cycles`` for a token of so many events, or else the
    fastest there is."""
    assert isinstance(op, Linear)
    choices = _choices(op, lanes, events)
    if not choices:
        raise ConversionError(f"a Linear of {op.inputs} x {op.outputs} cannot be folded with {lanes} lanes")
    fits = [choice for choice in choices if choice.interval <= cycles] or choices[:1]
    return min(fits, key=lambda choice: choice.multipliers).reuse_factor


def plan_of(dataflow: Dataflow, events: Events = DENSE) -> Plan:
    """How a dataflow was folded. A Linear whose ``events`` are not named is reckoned with as many as it has inputs."""
    blocks = {block.name: block for block in dataflow.blocks if block.operation is not None}
    linears = {name: block for name, block in blocks.items() if isinstance(block.operation, Linear)}
    private = [block for block in linears.values() if not block.engine and not block.rows]
    outside = [block.rows for block in linears.values() if block.rows]
    members = [block for block in linears.values() if block.engine]
    return Plan(
        dataflow.blocks[0].lanes,
        {name: block.reuse_factor for name, block in linears.items()},
        {name: block.layers * interval(block, events.get(name)) for name, block in blocks.items() if not block.rows}
        | _engine_interval(members)
        | _rows_interval(dataflow, events),
        sum(block.folding.multipliers for block in [*private, *members[:1]])
        + sum(rows.pe * rows.batch for rows in outside[:1]),
        tuple(block.name for block in members),
    )


def without_engine(dataflow: Dataflow, events: Events = DENSE) -> Mapping[str, int]:
    """The ReuseFactors of a dataflow's Linears where none shares an engine: the fastest within as many multipliers, or
    else the fewest, with the same lanes."""
    operations = {block.name: block.operation for block in dataflow.blocks if block.operation is not None}
    space = _Space(operations, dataflow.blocks[0].lanes, 0, events)
    plan = space.fastest(plan_of(dataflow).multipliers) or space.at(float("inf"))
    return plan.reuse_factors


def _rows_interval(dataflow: Dataflow, events: Events) -> dict[str, float]:
    """What one token takes of which weights come from a memory, a beat a cycle: its share of what a wave reads."""
    linears = [block for block in dataflow.blocks if block.rows and isinstance(block.operation, Linear)]
    return {ROWS: sum(shared_beats(block, events.get(block.name)) for block in linears)} if linears else {}


def _engine_interval(members: Sequence[Block]) -> dict[str, float]:
    return {NAME: float(sum(block.folding.steps for block in members))} if members else {}


class _Space:
    """All foldings of a network with so many lanes, and with an engine of so many multipliers (0: none)."""

    def __init__(self, operations: Mapping[str, Operation], lanes: int, engine: int, events: Events) -> None:
        self.lanes, self.engine = lanes, engine
        members = _members(operations, lanes, engine, events)
        self.members = {block.name: block.reuse_factor for block in members}
        linears = {n: op for n, op in operations.items() if isinstance(op, Linear) and n not in self.members}
        self.choices = {n: _choices(op, lanes, events.get(n)) for n, op in linears.items()}
        others = {n: op for n, op in operations.items() if not isinstance(op, Linear)}
        self.fixed = {n: interval(single(op, lanes, {})) for n, op in others.items()}
        self.fixed |= {block.name: interval(block) for block in members} | _engine_interval(members)
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
            self.members | {name: choice.reuse_factor for name, choice in chosen.items()},
            self.fixed | {name: choice.interval for name, choice in chosen.items()},
            self.engine + sum(choice.multipliers for choice in chosen.values()),
            tuple(self.members),
        )

    def fastest(self, multipliers: int) -> Plan | None:
        within = bisect_left(self.intervals, True, key=lambda cycles: self.at(cycles).multipliers <= multipliers)
        return self.at(self.intervals[within]) if within < len(self.intervals) else None


def _spaces(operations: Mapping[str, Operation], engine: bool, events: Events) -> list[_Space]:
    *inner, last = operations.values()
    whole = last.widths[:-1] if isinstance(last, Linear) else last.widths  # outputs that are padded to whole beats
    common = reduce(gcd, (*(count for op in inner for count in op.widths), *whole))
    lanes = [count for count in range(1, MAX_LANES + 1) if common % count == 0]
    built = {count: padded(operations, count) for count in lanes}
    sizes = {count: _engines(built[count], count, events) if engine else [] for count in lanes}
    return [_Space(built[count], count, size, events) for count in lanes for size in (0, *sizes[count])]


def _engines(operations: Mapping[str, Operation], lanes: int, events: Events) -> list[int]:
    """The multipliers of every engine that two Linears or more can share."""
    linears = {name: op for name, op in operations.items() if isinstance(op, Linear)}
    choices = [choice for name, op in linears.items() for choice in _choices(op, lanes, events.get(name))]
    sizes = Counter(choice.multipliers for choice in choices if choice.shareable)
    return [size for size, members in sizes.items() if members > 1]


def _members(operations: Mapping[str, Operation], lanes: int, multipliers: int, events: Events) -> tuple[Block, ...]:
    """All the Linears that can share an engine of so many multipliers."""
    members = [
        single(op, lanes, {}, choice.reuse_factor, name=name)
        for name, op in operations.items()
        if isinstance(op, Linear)
        for choice in _choices(op, lanes, events.get(name))
        if choice.shareable and choice.multipliers == multipliers
    ]
    return share(members, [block.name for block in members])


@cache
def _choices(op: Linear, lanes: int, events: float | None) -> list[Choice]:
    """By interval, ascending."""
    driven = events is not None
    block = single(op, lanes, {}, events=driven)
    foldings = [replace(block, reuse_factor=factor) for factor in legal_factors(op.inputs, op.outputs, lanes, driven)]
    found = (Choice(interval(b, events), b.folding.multipliers, b.reuse_factor, shareable(b)) for b in foldings)
    return sorted(found, key=lambda choice: choice.interval)
