"""WKV: the exponentially decayed, key-weighted mean of the values (RWKV-4; SpikeGPT ``src/model.py``, ``WKV``).

    y_t = (a + exp(u + k_t) v_t) / (b + exp(u + k_t));   a <- exp(w) a + exp(k_t) v_t;   b <- exp(w) b + exp(k_t)

In integers, base 2: ``a`` and ``b`` are mantissas under one power-of-two ``exponent`` per channel, so the released
code's running maximum becomes a shift. ``exp(x)`` is ``2**i`` times a table of 64 entries. A product with the decay is
normalised in full *before* the new term is aligned to it: aligned to a stale exponent, a channel that forgets fast
would lose every new token. The quotient is a mean of values, so it needs no more bits than a value has.

Error against float64 with the same quantized parameters, in steps of the output: 1/2 for the quotient's rounding, plus
``error_bound``'s account of the mantissas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.format import Format, Ints, shift_half_up
from spikegpt_hls.quant.ops.base import Operation, State
from spikegpt_hls.quant.ops.schema import Channels, Formats, Rule

MANTISSA_BITS = 22  # the denominator, normalised
DECAY = Format(16, 16, signed=False)  # exp(w), below 1
OCTAVE_FRAC = 6  # fraction bits of a base-2 logarithm
BONUS = Format(12, OCTAVE_FRAC)  # u / ln 2
TABLE_FRAC = 14  # fraction bits of 2**f
KEY_SHIFT = 8  # fraction bits of the constant that brings a key to base 2, beyond the grids' own
EXPONENT = Format(12, 0)
EMPTY = EXPONENT.lo  # the exponent of a state without a token


@lru_cache(maxsize=1)
def exp2_table() -> Ints:
    """``2**f`` for the 64 fractions ``f``, in [2**14, 2**15)."""
    return np.rint(2.0 ** (np.arange(1 << OCTAVE_FRAC) / (1 << OCTAVE_FRAC) + TABLE_FRAC)).astype(np.int64)


@dataclass(frozen=True)
class WKV(Operation):
    """Streams ``k``, ``v``; parameters ``decay`` = exp(w) and ``bonus`` = u / ln 2; state (a, b, exponent)."""

    streams: ClassVar[tuple[str, ...]] = ("k", "v")
    params: ClassVar[tuple[str, ...]] = ("decay", "bonus")
    state: ClassVar[tuple[str, ...]] = ("a", "b", "exponent")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("out", "have -1 to 8 fraction bits more than v", lambda op: -1 <= op.out.frac - op.v.frac <= 8),
    )

    out: Annotated[Format, Formats((1, 24), (-8, 24))]
    channels: Channels
    k: Annotated[Format, Formats((1, 8), (0, 12))]
    v: Annotated[Format, Formats((1, 8), (-8, 16))]

    @property
    def decay(self) -> Format:
        return DECAY

    @property
    def bonus(self) -> Format:
        return BONUS

    @property
    def key_factor(self) -> int:
        """``log2(e)`` as the constant multiplier from the key's grid to octaves of ``OCTAVE_FRAC`` fraction bits."""
        return max(1, round(math.log2(math.e) * 2.0 ** (KEY_SHIFT + OCTAVE_FRAC - self.k.frac)))

    def state_format(self, name: str) -> Format:
        denominator = Format(MANTISSA_BITS + 2, 0)  # below 2**(MANTISSA_BITS + 1), and a sign
        return {"a": Format(denominator.bits + self.v.bits - self.v.signed, 0), "b": denominator, "exponent": EXPONENT}[
            name
        ]

    def initial_state(self, batch: int) -> State:
        zero = np.zeros((batch, self.channels), np.int64)
        return {"a": zero, "b": zero, "exponent": zero + EMPTY}

    def octaves(self, k: Ints) -> Ints:
        """The key in base 2: ``k * log2(e)``, rounded half up."""
        return (k * self.key_factor + (1 << (KEY_SHIFT - 1))) >> KEY_SHIFT

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        keys, values = self.octaves(streams[0]), streams[1]
        a, b, exponent = (state[name] for name in self.state)
        y = np.empty_like(values)
        for t in range(values.shape[1]):
            key, value = keys[:, t], values[:, t]
            numerator, denominator, _ = _accumulate(a, b, exponent, key + params["bonus"], value)
            y[:, t] = self._quotient(numerator, denominator)
            decayed = _normalise(a * params["decay"], b * params["decay"], exponent - DECAY.frac)
            a, b, exponent = _accumulate(*decayed, key, value)
        return y, {"a": a, "b": b, "exponent": exponent}

    def _quotient(self, numerator: Ints, denominator: Ints) -> Ints:
        """``numerator / denominator`` on the output's grid, rounded half up and saturated."""
        up = self.out.frac - self.v.frac
        return self.out.saturate(np.floor_divide((numerator << (up + 1)) + denominator, 2 * denominator))

    def error_bound(self, decay: Ints) -> NDArray[np.float64]:
        """Steps of the output by which ``run`` may differ from float64 with the same streams and parameters.

        Every token rounds the numerator and the denominator three times by half a unit of 2**-(MANTISSA_BITS - 1)
        of the denominator; what was rounded away fades with the state, 1/(1 - decay) tokens long. The table is off by
        2**-(TABLE_FRAC + 1), relatively. Either shifts a mean of values by at most its share of their range.
        """
        memory = 1 / (1 - np.minimum(self.decay.real(decay), 1 - 2.0**-DECAY.frac))
        mantissas = 3 * 2.0**-MANTISSA_BITS * (memory + 1) * 2
        values = (self.v.hi - self.v.lo) * 2.0 ** (self.out.frac - self.v.frac)
        return 0.5 + (mantissas + 2.0**-TABLE_FRAC) * values


def _accumulate(a: Ints, b: Ints, exponent: Ints, key: Ints, value: Ints) -> tuple[Ints, Ints, Ints]:
    """``(a, b) * 2**exponent + 2**(key / 64) * (value, 1)``, aligned to the larger of the two exponents."""
    weight = exp2_table()[key & ((1 << OCTAVE_FRAC) - 1)] << (MANTISSA_BITS - 1 - TABLE_FRAC)
    term = (key >> OCTAVE_FRAC) - (MANTISSA_BITS - 1)
    aligned = np.maximum(exponent, term)
    down, term_down = aligned - exponent, aligned - term
    a = shift_half_up(a, down) + shift_half_up(weight * value, term_down)
    b = shift_half_up(b, down) + shift_half_up(weight, term_down)
    return a, b, aligned


def _normalise(a: Ints, b: Ints, exponent: Ints) -> tuple[Ints, Ints, Ints]:
    """Shift ``a`` and ``b`` together until ``b`` has ``MANTISSA_BITS`` bits; an empty ``b`` has exponent ``EMPTY``."""
    width = np.frexp(b.astype(np.float64))[1].astype(np.int64)
    shift = width - MANTISSA_BITS
    down, up = np.maximum(shift, 0), np.maximum(-shift, 0)
    empty = b == 0
    a = np.where(empty, 0, shift_half_up(a, down) << up)
    return a, shift_half_up(b, down) << up, np.where(empty, EMPTY, exponent + shift)
