"""LayerNorm: ``(x - mean) / sqrt(var + 1e-5) * gain + bias`` over the channels, from exact sums.

With ``S1 = sum x`` and ``S2 = sum x**2``, the integers ``d = C*x - S1`` and ``N = C*S2 - S1**2 + eps`` are exact for
any C, and ``(x - mean) / sqrt(var + eps) = d / sqrt(N)``: no division by C is left. ``1/sqrt(N)`` is a leading-zero
count, a table of 192 entries and one Newton step; it is off by less than 2**-14, relatively.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, bits_for, requantize, shift_half_even
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats, Rule, not_finer_than

EPSILON = 1e-5  # torch.nn.LayerNorm's default, which the released code uses
NORM_FRAC = 10  # fraction bits of the normalised value, before gain and bias
MANTISSA_FRAC = 16  # fraction bits of N's mantissa in [1, 4), and of the reciprocal root in (1/2, 1]
SEED_FRAC = 15  # fraction bits of the table's first guess
INDEX_SHIFT = 10  # the table is indexed by the mantissa's bits above this one


@lru_cache(maxsize=1)
def seed_table() -> Ints:
    """First guess of ``1/sqrt(m)`` for ``m`` in [1, 4), one entry per 1/64, taken at the interval's middle."""
    middle = (np.arange(64, 256) + 0.5) / 64
    table: Ints = np.rint(2**SEED_FRAC / np.sqrt(middle)).astype(np.int64)
    return table


def reciprocal_root(n: Ints) -> tuple[Ints, Ints]:
    """``(r, e)`` with ``1/sqrt(n) ~ r * 2**-(16 + e)`` and ``r`` in (2**15, 2**16], for ``n >= 1``."""
    e = (np.frexp(n.astype(np.float64))[1].astype(np.int64) - 1) >> 1  # exact below 2**53
    mantissa = np.where(
        2 * e >= MANTISSA_FRAC, n >> np.maximum(2 * e - MANTISSA_FRAC, 0), n << np.maximum(MANTISSA_FRAC - 2 * e, 0)
    )
    seed = seed_table()[(mantissa >> INDEX_SHIFT) - 64]
    t = (mantissa * seed) >> MANTISSA_FRAC
    u = (t * seed) >> SEED_FRAC
    return (seed * ((3 << SEED_FRAC) - u)) >> SEED_FRAC, e


@dataclass(frozen=True)
class LayerNorm(Operation):
    """Parameters ``gain`` and ``bias`` (channels,); the bias is added on the product's grid, before one rounding."""

    params: ClassVar[tuple[str, ...]] = ("gain", "bias")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("x", "leave the variance at most 53 bits", lambda op: op.variance_bits <= 53),
        Rule("x", "leave 1e-5 on the variance's grid at most 31 bits", lambda op: op.epsilon < 1 << 31),
        Rule("bias", "have no more fraction bits than norm and gain", lambda op: op.bias.frac <= op.scaled_frac),
        not_finer_than("norm and gain together", lambda op: op.scaled_frac),
    )

    channels: Channels
    x: Annotated[Format, Formats((1, 20), (-8, 16))]
    gain: Annotated[Format, Formats((1, 15), (0, 16), (True,))]
    bias: Annotated[Format, Formats((1, 15), (0, 16), (True,))]

    @property
    def epsilon(self) -> int:
        """``1e-5`` on the grid of ``N``; at least 1, so that N is never zero."""
        return max(1, round(EPSILON * self.channels**2 * 4.0**self.x.frac))

    @property
    def sum_bits(self) -> int:
        """Width of ``S1``."""
        return bits_for(self.channels * self.x.lo, self.channels * self.x.hi)

    @property
    def square_bits(self) -> int:
        """Width of ``S2`` (not negative, no sign bit)."""
        return (self.channels * max(self.x.lo**2, self.x.hi**2)).bit_length()

    @property
    def variance_bits(self) -> int:
        """Width of ``N`` (positive, no sign bit)."""
        return (self.channels**2 * max(self.x.lo**2, self.x.hi**2) + self.epsilon).bit_length()

    @property
    def deviation_bits(self) -> int:
        """Width of ``d``."""
        reach = self.channels * (self.x.hi - self.x.lo)
        return bits_for(-reach, reach)

    @property
    def norm(self) -> Format:
        """The normalised value never exceeds ``sqrt(C)``; one bit more covers the reciprocal root's error."""
        root_bits = int(np.ceil(np.log2(np.sqrt(self.channels)))) + 1
        return Format(1 + root_bits + NORM_FRAC, NORM_FRAC)

    @property
    def scaled_frac(self) -> int:
        """Fraction bits of the normalised value times the gain."""
        return NORM_FRAC + self.gain.frac

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        (x,) = streams
        total = x.sum(-1, keepdims=True)
        squares = (x * x).sum(-1, keepdims=True)
        r, e = reciprocal_root(self.channels * squares - total * total + self.epsilon)
        deviation = self.channels * x - total
        norm = self.norm.saturate(shift_half_even(deviation * r, MANTISSA_FRAC + e - NORM_FRAC))
        frac = self.scaled_frac
        scaled = norm * params["gain"] + (params["bias"] << (frac - self.bias.frac))
        return requantize(scaled, frac, self.out), state
