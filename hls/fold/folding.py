"""How many multipliers a Linear has: hls4ml's ReuseFactor as a grid of PE outputs by SIMD inputs.

``multipliers = inputs * outputs / ReuseFactor`` work in every cycle, so a token takes ReuseFactor cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil, gcd, isqrt, lcm
from typing import NamedTuple

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.ops import Linear, Operation

TARGET_CYCLES = 512  # per token, where nobody asks for a ReuseFactor


class Folding(NamedTuple):
    """A Linear's grid (FINN's SIMD and PE), and the result words that hold whole steps and whole beats at once."""

    simd: int  # inputs per step
    pe: int  # outputs per step
    word: int  # outputs per result word
    words: int  # result words per token
    steps: int  # per token: the ReuseFactor

    @property
    def steps_per_word(self) -> int:
        return self.steps // self.words

    @property
    def multipliers(self) -> int:
        return self.simd * self.pe

    @property
    def rows_per_word(self) -> int:
        """Rows of PE outputs."""
        return self.word // self.pe

    @property
    def rows(self) -> int:
        return self.words * self.rows_per_word


def fold(op: Linear, lanes: int, reuse_factor: int, name: str = "Linear", events: bool = False) -> Folding:
    """The grid of a ReuseFactor; ConversionError where it does not divide the matrix into whole beats and words.

    Driven by ``events``, one input a step is added to PE outputs: the ReuseFactor is what a token takes at most, inputs
    x rows of PE. The last rows may have outputs that there are not, so that any PE will do.
    """
    folding = _grid(op.inputs, op.outputs, lanes, reuse_factor, events)
    if folding is None:
        legal = legal_factors(op.inputs, op.outputs, lanes, events)
        near = sorted(sorted(legal, key=lambda factor: abs(factor - reuse_factor))[:5])
        raise ConversionError(
            f"{name} ({op.inputs} x {op.outputs}) cannot have ReuseFactor {reuse_factor} with {lanes} lanes; "
            f"the nearest that can: {', '.join(map(str, near)) or 'none'}"
        )
    return folding


def pace(operations: Mapping[str, Operation], lanes: int) -> int:
    """Cycles per token where nobody asks: ``TARGET_CYCLES``, or what the widest stream takes whatever computes it."""
    return max(TARGET_CYCLES, *(op.n_out // max(1, lanes) for op in operations.values()))


def default_reuse(op: Linear, lanes: int, target: int = TARGET_CYCLES, events: bool = False) -> int:
    """The largest legal ReuseFactor that keeps a token within ``target`` cycles, or else the smallest there is."""
    legal = legal_factors(op.inputs, op.outputs, lanes, events)
    if not legal:
        raise ConversionError(f"a Linear of {op.inputs} x {op.outputs} cannot be folded with {lanes} lanes")
    return max((factor for factor in legal if factor <= target), default=legal[0])


@lru_cache(maxsize=256)
def legal_factors(inputs: int, outputs: int, lanes: int, events: bool = False) -> tuple[int, ...]:
    """Every ReuseFactor that ``fold`` takes, ascending."""
    if events:
        counts = {_rows(outputs, lanes, pe)[2] for pe in range(1, outputs + 1)}
        return tuple(inputs * rows for rows in sorted(counts) if _event_grid(inputs, outputs, lanes, inputs * rows))
    size = inputs * outputs
    small = [n for n in range(1, isqrt(size) + 1) if size % n == 0]
    divisors = sorted({*small, *(size // n for n in small)})
    return tuple(factor for factor in divisors if _grid(inputs, outputs, lanes, factor, events))


def _rows(outputs: int, lanes: int, pe: int) -> tuple[int, int, int]:
    """Outputs of a result word, words and rows of PE outputs, of a Linear that is driven by events."""
    groups = lanes // gcd(pe, lanes)
    words = ceil(outputs / (pe * groups))
    return pe * groups, words, words * groups


def _event_grid(inputs: int, outputs: int, lanes: int, reuse_factor: int) -> Folding | None:
    if reuse_factor < 1 or reuse_factor % inputs or inputs % lanes or outputs % lanes:
        return None
    pe = ceil(outputs * inputs / reuse_factor)
    word, words, rows = _rows(outputs, lanes, pe)
    return Folding(1, pe, word, words, reuse_factor) if rows * inputs == reuse_factor else None


def _grid(inputs: int, outputs: int, lanes: int, reuse_factor: int, events: bool) -> Folding | None:
    if events:
        return _event_grid(inputs, outputs, lanes, reuse_factor)
    if reuse_factor < 1 or inputs * outputs % reuse_factor or inputs % lanes or outputs % lanes:
        return None
    multipliers = inputs * outputs // reuse_factor
    simd = min(lanes, multipliers)
    pe = multipliers // simd
    word = lcm(pe, lanes)
    whole = multipliers % simd == 0 and lanes % simd == 0 and outputs % pe == 0 and outputs % word == 0
    return Folding(simd, pe, word, outputs // word, reuse_factor) if whole else None
