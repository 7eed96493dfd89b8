"""Linears that share one array of multipliers, the engine: who can, and what they have in common.

A member keeps its streams, its banks and its results. The engine runs one result word after another, of whichever
member asks: it is busy while anyone has work. All members have the same grid of SIMD x PE multipliers, and no word may
take fewer steps than its sums take beats, or than the arbiter needs cycles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from spikegpt_hls.hls.dataflow import Block, Engine
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.ops import Linear

NAME = "engine"  # as a block among others
LEAST_STEPS = 3  # of a result word: cycles until a member's request tells of the grant before


def shareable(block: Block) -> bool:
    """Whether a Linear, folded so, can share an engine."""
    return not block.events and block.folding.steps_per_word >= _least_steps(block)


def _least_steps(block: Block) -> int:
    """Of a result word, in an engine."""
    return max(block.folding.word // block.lanes, LEAST_STEPS)


def share(blocks: Iterable[Block], names: Iterable[str]) -> tuple[Block, ...]:
    """``blocks`` with the Linears of those ``names`` on one engine; ConversionError where they cannot share one."""
    blocks, names = tuple(blocks), set(names)
    members = [replace(block, engine=None) for block in blocks if block.name in names]
    for name in names - {block.name for block in members if isinstance(block.operation, Linear)}:
        raise ConversionError(f"no Linear is named {name!r}, to share the engine")
    if not members:
        return blocks
    engine = engine_of(members)
    return tuple(replace(block, engine=engine) if block.name in names else block for block in blocks)


def engine_of(members: Iterable[Block]) -> Engine:
    """The engine of some Linears, or ConversionError."""
    members = tuple(members)
    for block in members:
        if not shareable(block):
            raise ConversionError(
                f"{block.name} cannot share the engine with ReuseFactor {block.reuse_factor} and {block.lanes} lanes: "
                f"its result words take {block.folding.steps_per_word} steps, and need {_least_steps(block)} or more"
            )
    for one, other in pairwise(members):
        if one.folding[:2] != other.folding[:2]:
            counts = (block.folding.multipliers for block in (one, other))
            raise ConversionError(
                f"{one.name} and {other.name} cannot share the engine: they have {' and '.join(map(str, counts))} "
                "multipliers"
            )
    operations = [block.operation for block in members if isinstance(block.operation, Linear)]
    inputs = [op.x for op in operations]
    signed = any(x.signed for x in inputs)
    return Engine(
        len(members),
        max(block.beats_in for block in members),
        sum(block.folding.steps for block in members),
        max(block.folding.steps_per_word for block in members),
        max(x.bits + (signed and not x.signed) for x in inputs),
        signed,
        max(op.weight.bits for op in operations),
        max(op.accumulator.bits for op in operations),
    )
