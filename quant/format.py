"""Integers with a binary point: the only numbers that leave a block.

An integer ``n`` in ``Format(bits, frac, signed)`` stands for the real value ``n * 2**-frac``. Re-quantization is a
shift with round-half-to-even and saturation; nothing in the project divides by a scale that is not a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.errors import GraphError

Ints = NDArray[np.int64]

#: ONNX tensors are float32, whose significand carries integers of this many bits exactly.
ONNX_EXACT_BITS = 25
#: What the integer meaning computes in, less a sign and a bit to round by.
MAX_BITS = 62
#: The widest accumulator that the C++ kernels and the RTL implement.
MAX_ACCUMULATOR_BITS = 32


class ExactnessError(GraphError):
    """A number does not fit the format that must carry it exactly."""


@dataclass(frozen=True, order=True)
class Format:
    """A fixed-point format: ``bits`` in all, ``frac`` of them behind the binary point (``frac`` may be negative)."""

    bits: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS or abs(self.frac) > 2 * MAX_BITS:
            raise ExactnessError(
                f"{self} is no format: it has 1 to {MAX_BITS} bits, and a binary point not far from them"
            )

    @property
    def lo(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def scale(self) -> float:
        """The real value of one step, ``2**-frac``."""
        return 2.0**-self.frac

    def saturate(self, n: Ints) -> Ints:
        return clip(n, self.lo, self.hi)

    def quantize(self, real: NDArray) -> Ints:
        """The nearest integer of this format (half to even, saturated) to each real value; ExactnessError for a NaN."""
        scaled = np.rint(np.ldexp(np.asarray(real, np.float64), self.frac))
        if np.isnan(scaled).any():
            raise ExactnessError(f"{self} has no number for a NaN")
        return self.saturate(np.clip(scaled, self.lo, self.hi).astype(np.int64))

    def real(self, n: Ints) -> NDArray[np.float64]:
        return np.ldexp(np.asarray(n, np.float64), -self.frac)

    def integers(self, real: NDArray, what: str = "tensor") -> Ints:
        """The integers that ``real`` stands for; ExactnessError where a value is off the grid or out of range."""
        scaled = np.ldexp(np.asarray(real, np.float64), self.frac)
        if not np.array_equal(np.rint(scaled), scaled):
            raise ExactnessError(f"{what} is not on the grid of {self}")
        if scaled.size and (scaled.min() < self.lo or scaled.max() > self.hi):
            reach = f"{scaled.min():.0f}..{scaled.max():.0f}"
            raise ExactnessError(f"{what} reaches {reach}, {self} holds {self.lo}..{self.hi}")
        return scaled.astype(np.int64)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"


def clip(n: Ints, lo: int, hi: int) -> Ints:
    """``np.clip``, whose checks would be a third of the time of one token."""
    clipped: Ints = np.minimum(np.maximum(n, lo), hi)
    return clipped


def bits_for(lo: int, hi: int) -> int:
    """The width of the narrowest two's complement integer that holds ``lo..hi``."""
    return max(int(hi).bit_length(), (-int(lo) - 1).bit_length() if lo < 0 else 0) + 1


def shift_half_even(n: Ints, shift: int | Ints) -> Ints:
    """``round(n / 2**shift)``, ties to even; a negative ``shift`` multiplies. ``shift`` may vary by element."""
    n, shift = np.asarray(n, np.int64), np.asarray(shift, np.int64)
    right = clip(shift, 0, 62)
    below_half = ((np.int64(1) << right) >> 1) - (right > 0)
    odd = (n >> right) & (right > 0)  # an odd floor rounds a tie up, an even one down
    rounded: Ints = ((n + below_half + odd) >> right) << clip(-shift, 0, 62)
    return rounded


def shift_half_up(n: Ints, shift: Ints) -> Ints:
    """``floor(n / 2**shift + 1/2)`` for ``shift >= 0`` by element: one adder cheaper than half-even."""
    right = clip(shift, 0, 62)
    rounded: Ints = np.where(right > 0, (n + (np.int64(1) << np.maximum(right - 1, 0))) >> right, n)
    return rounded


def requantize(n: Ints, frac: int, out: Format) -> Ints:
    """Move integers from a grid of ``frac`` fraction bits to ``out``: shift, round half to even, saturate."""
    return out.saturate(shift_half_even(n, frac - out.frac))
