"""WKV: the exponentially decayed, key-weighted mean of the values (RWKV-4; SpikeGPT ``src/model.py``, ``WKV``).

    y_t = (a + exp(u + k_t) v_t) / (b + exp(u + k_t));   a <- exp(w) a + exp(k_t) v_t;   b <- exp(w) b + exp(k_t)

with ``w = -exp(time_decay)`` and ``u = time_first``. In integers, base 2: ``a`` and ``b`` are mantissas under one
power-of-two ``exponent`` per channel, so the released code's running maximum becomes a shift. ``exp(x)`` is ``2**i``
times a table of 1024 entries. ``exp(w)`` is ``(1 - loss) * 2**-halvings``: a mantissa in (1/2, 1] of 17 bits, whatever
its size, and exactly 1 where nothing fades; the halvings only lower the exponent. A product with the decay is
normalised in full *before* the new term is aligned to it: aligned to a stale exponent, a channel that forgets fast
would lose every new token. The quotient is a mean of values, so it needs no more bits than a value has.

How far all of this may be from float64 with the true ``time_decay`` and ``time_first``: ``error_bound``. How far it is:
``docs/wkv.md``.
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
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats, Rule

MANTISSA_BITS = 22  # the denominator, normalised
DECAY_FRAC = 17  # fraction bits of 1 - loss
LOSS = Format(DECAY_FRAC - 1, DECAY_FRAC, signed=False)  # below 1/2
HALVINGS = Format(9, 0, signed=False)
OCTAVE_FRAC = 10  # fraction bits of a base-2 logarithm
BONUS = Format(6 + OCTAVE_FRAC, OCTAVE_FRAC)  # u / ln 2
TABLE_FRAC = 14  # fraction bits of 2**f
FORMATS = {"loss": LOSS, "halvings": HALVINGS, "bonus": BONUS}
KEY_SHIFT = 12  # fraction bits of the constant that brings a key to base 2, beyond the grids' own
EXPONENT = Format(12, 0)
EMPTY = EXPONENT.lo  # the exponent of a state without a token


@lru_cache(maxsize=1)
def exp2_table() -> Ints:
    """``2**f`` for the 1024 fractions ``f``, in [2**14, 2**15)."""
    return np.rint(2.0 ** (np.arange(1 << OCTAVE_FRAC) / (1 << OCTAVE_FRAC) + TABLE_FRAC)).astype(np.int64)


def quantize(time_decay: NDArray, time_first: NDArray) -> dict[str, Ints]:
    """The parameters of a ``WKV``: ``exp(-exp(time_decay))`` as loss and halvings, ``time_first`` as bonus."""
    octaves = np.exp(np.asarray(time_decay, np.float64)) * math.log2(math.e)  # that a token fades in one step
    halvings = np.floor(np.minimum(octaves, HALVINGS.hi))
    loss = np.rint(-np.expm1((halvings - octaves) * math.log(2)) * 2.0**DECAY_FRAC)
    half = loss > LOSS.hi  # a mantissa of 1/2 is one of 1, halved once more
    return {
        "loss": np.where(half, 0, loss).astype(np.int64),
        "halvings": HALVINGS.saturate((halvings + half).astype(np.int64)),
        "bonus": BONUS.quantize(np.asarray(time_first, np.float64) / math.log(2)),
    }


@dataclass(frozen=True)
class WKV(Operation):
    """Streams ``k``, ``v``; parameters: ``quantize``; state (a, b, exponent)."""

    streams: ClassVar[tuple[str, ...]] = ("k", "v")
    params: ClassVar[tuple[str, ...]] = tuple(FORMATS)
    state: ClassVar[tuple[str, ...]] = ("a", "b", "exponent")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("out", "have -1 to 8 fraction bits more than v", lambda op: -1 <= op.out.frac - op.v.frac <= 8),
    )

    out: Annotated[Format, Formats((1, 24), (-8, 24))]
    channels: Channels
    k: Annotated[Format, Formats((1, 8), (0, 12))]
    v: Annotated[Format, Formats((1, 8), (-8, 16))]

    def param_format(self, name: str) -> Format:
        return FORMATS[name]

    @property
    def key_factor(self) -> int:
        """``log2(e)`` as the constant multiplier from the key's grid to octaves of ``OCTAVE_FRAC`` fraction bits."""
        return max(1, round(math.log2(math.e) * 2.0 ** (KEY_SHIFT + OCTAVE_FRAC - self.k.frac)))

    def state_format(self, name: str) -> Format:
        denominator = Format(MANTISSA_BITS + 2, 0)  # below 2**(MANTISSA_BITS + 1), and a sign
        numerator = Format(denominator.bits + self.v.bits - self.v.signed, 0)
        return {"a": numerator, "b": denominator, "exponent": EXPONENT}[name]

    def initial_state(self, batch: int) -> State:
        zero = np.zeros((batch, self.channels), np.int64)
        return {"a": zero, "b": zero, "exponent": zero + EMPTY}

    def octaves(self, k: Ints) -> Ints:
        """The key in base 2: ``k * log2(e)``, rounded half up."""
        return (k * self.key_factor + (1 << (KEY_SHIFT - 1))) >> KEY_SHIFT

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        keys, values = self.octaves(streams[0]), streams[1]
        a, b, exponent = (state[name] for name in self.state)
        decay, fading = (1 << DECAY_FRAC) - params["loss"], params["halvings"] + DECAY_FRAC
        y = np.empty_like(values)
        for t in range(values.shape[1]):
            key, value = keys[:, t], values[:, t]
            numerator, denominator, _ = _accumulate(a, b, exponent, key + params["bonus"], value)
            y[:, t] = self._quotient(numerator, denominator)
            decayed = _normalise(a * decay, b * decay, exponent - fading)
            a, b, exponent = _accumulate(*decayed, key, value)
        return y, {"a": a, "b": b, "exponent": exponent}

    def _quotient(self, numerator: Ints, denominator: Ints) -> Ints:
        """``numerator / denominator`` on the output's grid, rounded half up and saturated."""
        up = self.out.frac - self.v.frac
        return self.out.saturate(np.floor_divide((numerator << (up + 1)) + denominator, 2 * denominator))

    def error_bound(self, time_decay: NDArray, time_first: NDArray, tokens: int) -> NDArray[np.float64]:
        """Steps of the output by which ``run`` may differ, per channel, from float64 with the same streams and the true
        parameters, anywhere in the first ``tokens`` tokens.

        ``y`` is a mean of values. Weights that are wrong by factors of which any two are within ``exp(r)`` of each
        other move it by ``r / 4`` of the values' range at most. The logarithm of a weight is off by what rounding its
        key, the table and, for the newest token, the bonus do to it, and by the decay's error for each token that the
        weight is old. A token's age averages no more than ``age``: the tokens that the largest key lasts beside the
        smallest one, and those that gather in a state. Each of them has rounded numerator and denominator twice by half
        a unit of ``2**(1 - MANTISSA_BITS)`` of the denominator, ``y`` once more.
        """
        params = quantize(time_decay, time_first)
        fade = np.exp(np.asarray(time_decay, np.float64))
        kept = np.log1p(-LOSS.real(params["loss"])) - params["halvings"] * math.log(2)
        keys = np.arange(self.k.lo, self.k.hi + 1)
        natural = self.octaves(keys) * 2.0**-OCTAVE_FRAC * math.log(2)
        key = np.abs(natural - self.k.real(keys)).max() + 2.0 ** -(TABLE_FRAC + 1)
        bonus = np.abs(BONUS.real(params["bonus"]) * math.log(2) - time_first)
        age = np.minimum(tokens, (np.ptp(self.k.real(keys)) + 2) / fade + 2)
        step = 2.0 ** (self.out.frac - self.v.frac)
        spread, largest = (self.v.hi - self.v.lo) * step, (max(-self.v.lo, self.v.hi) + 1) * step
        weights = spread / 4 * (2 * key + bonus + age * np.abs(kept + fade))
        bound: NDArray[np.float64] = 0.5 + np.minimum(weights, spread) + largest * (2 * age + 1) * 2.0**-MANTISSA_BITS
        return bound


def _accumulate(a: Ints, b: Ints, exponent: Ints, key: Ints, value: Ints) -> tuple[Ints, Ints, Ints]:
    """``(a, b) * 2**exponent + 2**(key / 1024) * (value, 1)``, aligned to the larger of the two exponents."""
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
