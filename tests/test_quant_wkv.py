"""The integer WKV against float64 with the same quantized parameters, over 20,000 tokens: the stated bound holds."""

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops.wkv import KEY_SHIFT, OCTAVE_FRAC

TOKENS = 20_000
S8 = Format(8, 4)
RATES = 16
WKV = ops.WKV(Format(10, 6), 4 * RATES, S8, S8)


def scan(k: NDArray, v: NDArray, decay: Ints, bonus: Ints) -> NDArray[np.float64]:
    """The recurrence in float64 with a running maximum, as released: keys and values are real numbers."""
    with np.errstate(divide="ignore"):
        w, u = np.log(WKV.decay.real(decay)), WKV.bonus.real(bonus) * np.log(2)
    a = b = np.zeros(k.shape[1])
    p = np.full(k.shape[1], -1e30)
    out = np.empty(k.shape)
    for t in range(len(k)):
        q = np.maximum(p, u + k[t])
        past, now = np.exp(p - q), np.exp(u + k[t] - q)
        out[t] = (past * a + now * v[t]) / (past * b + now)
        q = np.maximum(p + w, k[t])
        past, now = np.exp(p + w - q), np.exp(k[t] - q)
        a, b, p = past * a + now * v[t], past * b + now, q
    return out


def streams() -> tuple[Ints, Ints]:
    """Keys and values (tokens, 4 * RATES): each case has every decay."""
    rng = np.random.default_rng(1)
    shape = (TOKENS, RATES)
    any_key, any_value = rng.integers(-128, 128, shape), rng.integers(-128, 128, shape)
    huge_then_tiny = np.where(np.arange(TOKENS)[:, None] % 7000 == 7, 127, rng.integers(-128, -100, shape))
    small, ends = rng.integers(-8, 8, shape), rng.choice([-128, 127], shape)
    cases = [(any_key, any_value), (any_key, ends), (huge_then_tiny, any_value), (small, any_value)]
    return np.concatenate([k for k, _ in cases], 1), np.concatenate([v for _, v in cases], 1)


def test_error_stays_below_the_stated_bound() -> None:
    keys, values = streams()
    decay = np.tile(WKV.decay.quantize(np.exp(-np.geomspace(1e-4, 20, RATES))), 4)
    bonus = np.tile(WKV.bonus.quantize(np.linspace(-6, 6, RATES)), 4)
    ours = WKV(keys[None], values[None], decay=decay, bonus=bonus)[0]
    bound = WKV.error_bound(decay)
    v = WKV.v.real(values)
    # the same base-2 keys on both sides: what is left is the recurrence's own error
    error = steps(ours, scan(WKV.octaves(keys) * 2.0**-OCTAVE_FRAC * np.log(2), v, decay, bonus))
    assert (error <= bound).all(), error - bound
    assert 0.45 < error.max() < 0.7  # rounding alone costs half a step
    # the real keys: every weight is off by half an octave step and by the constant's rounding, relatively
    constant = abs(WKV.key_factor * 2.0 ** (WKV.k.frac - KEY_SHIFT - OCTAVE_FRAC) - np.log2(np.e))
    weight = np.log(2) * (2.0 ** -(OCTAVE_FRAC + 1) + constant * 2.0 ** (7 - WKV.k.frac))
    mean = weight * (WKV.v.hi - WKV.v.lo) * 2.0 ** (WKV.out.frac - WKV.v.frac)
    assert (steps(ours, scan(WKV.k.real(keys), v, decay, bonus)) <= bound + mean).all()


def steps(ours: Ints, exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest error of each channel, in steps of the output."""
    return np.asarray(np.abs(ours - exact * 2.0**WKV.out.frac).max(0))
