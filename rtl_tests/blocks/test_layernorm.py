"""LayerNorm in RTL: one bit to twelve, rows without variance and with the most, tokens of one beat."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.rtl.image import Image
from spikegpt_hls.quant.format import Format, requantize
from spikegpt_hls.quant.ops import BIT, LayerNorm
from spikegpt_hls.quant.ops.layernorm import MANTISSA_FRAC, NORM_FRAC, reciprocal_root
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params, sequences
from spikegpt_hls.rtl_tests.marks import slow

BYTE, GAIN, BIAS = Format(8, 4), Format(8, 5), Format(16, 10)
LENGTHS = (5, 1, 4)


def layernorm(channels: int, x: Format = BYTE, out: Format = BYTE, gain: Format = GAIN) -> LayerNorm:
    return LayerNorm(out, channels, x, gain, BIAS)


def drawn_params(op: LayerNorm, seed: int) -> dict[str, np.ndarray]:
    """Random ones; half of the biases lie within the output's range, that not nearly every result saturates."""
    params, rng = random_params(op, seed), np.random.default_rng(seed)
    fits = op.out.hi * 2.0 ** (op.bias.frac - op.out.frac)
    bias = np.where(rng.random(op.channels) < 0.5, rng.uniform(-fits, fits, op.channels), params["bias"])
    return params | {"bias": np.clip(bias, op.bias.lo, op.bias.hi).astype(np.int64)}


def drawn(op: LayerNorm, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of any spread; of bits, of any share of ones."""
    if op.x.bits == 1:
        return (rng.random((rows, op.channels)) < rng.random((rows, 1))).astype(np.int64)
    return rng.integers(op.x.lo, op.x.hi, (rows, op.channels), endpoint=True) >> rng.integers(0, op.x.bits, (rows, 1))


class Roundings:
    """Of the rows ``x``: where each value lies between two normalised values, and whether the output tells the two."""

    def __init__(self, op: LayerNorm, params: Mapping[str, np.ndarray], x: np.ndarray) -> None:
        total, squares = x.sum(-1, keepdims=True), (x * x).sum(-1, keepdims=True)
        root, self.exponent = reciprocal_root(op.channels * squares - total * total + op.epsilon)
        shift = MANTISSA_FRAC - NORM_FRAC + self.exponent
        product = (op.channels * x - total) * root
        self.floor, frac = product >> shift, NORM_FRAC + op.gain.frac
        self.above_tie = product - (self.floor << shift) - (1 << (shift - 1))
        scaled = [(self.floor + up) * params["gain"] + (params["bias"] << (frac - op.bias.frac)) for up in (0, 1)]
        below, above = (requantize(value, frac, op.out) for value in scaled)
        self.shown = below != above
        nearest = np.where(self.above_tie + self.floor % 2 > 0, *reversed(scaled)) * 2.0 ** (op.out.frac - frac)
        self.from_output_tie = np.abs(nearest - np.floor(nearest) - 0.5)
        self.from_tie = np.abs(self.above_tie) / 2.0**shift


def near_the_edges(op: LayerNorm, params: Mapping[str, np.ndarray], length: int, seed: int) -> np.ndarray:
    """Rows in which every bit of the root, and of what is rounded away, decides: of 256 rows always the one with a
    normalised value next to a rounding tie, which the output shows, or with a result next to one."""
    rng, rows = np.random.default_rng(seed), []
    for token in range(length):
        x = drawn(op, 256, rng)
        found = Roundings(op, params, x)
        away = found.from_output_tie if token % 2 else found.from_tie + ~found.shown
        rows.append(x[np.argmin(away.min(-1))])
    return np.array(rows)


def one_bit_above_a_tie(op: LayerNorm, lanes: int, params: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """Rows with a normalised value that is rounded up, seen at the output, by one bit alone or not even that: one row
    for each such bit, exponent and lane, as far as twelve million values have them."""
    rng, rows = np.random.default_rng(seed), {}
    for _ in range(60):
        x = drawn(op, 200_000 // op.channels, rng)
        found = Roundings(op, params, x)
        above, odd = found.above_tie, found.floor % 2
        alone = found.shown & (above >= 0) & (above & (above - 1) == 0) & ((odd == 0) | (above == 0))
        for row, channel in zip(*np.nonzero(alone), strict=True):
            key = found.exponent[row, 0], above[row, channel], odd[row, channel], channel % lanes
            rows[tuple(map(int, key))] = x[row]
    return np.array([*rows.values()]).reshape(-1, op.channels)


def all_rows_of_bits(channels: int) -> np.ndarray:
    """Every number of ones, with each channel among the ones and among the zeros: all that a norm of bits computes."""
    rows = [np.zeros(channels), np.ones(channels)]
    for ones in range(1, channels):
        first = np.arange(channels) < ones
        rows += [np.roll(first, turn) for turn in range(0, channels, min(ones, channels - ones))]
    return np.array(rows, np.int64)


def edges(op: LayerNorm, lanes: int, params: Mapping[str, np.ndarray], length: int, seed: int) -> np.ndarray:
    """``length`` rows next to the edges, and those in which one bit decides; of bits, all sums."""
    decided = all_rows_of_bits(op.channels) if op.x.bits == 1 else one_bit_above_a_tie(op, lanes, params, seed)
    return np.concatenate([near_the_edges(op, params, length, seed), decided])


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "out", "gain"),
    [
        slow(64, 1, BIT, Format(8, 5), GAIN),  # ln0 reads spikes
        (64, 8, Format(12, 6), Format(8, 4), Format(8, 0)),
        slow(48, 2, Format(8, 0), Format(10, 8), Format(8, 10)),
        slow(96, 8, Format(8, 4), Format(8, -1), GAIN),
        (8, 8, Format(8, 7), Format(8, 5), GAIN),  # a token is one beat
        slow(8, 1, Format(12, 0), Format(8, 7, signed=False), GAIN),
        slow(96, 1, Format(9, 4), Format(8, 5), GAIN),
        (8, 2, BIT, Format(16, 12), GAIN),
        (16, 1, Format(15, 9), Format(8, 5), GAIN),  # the sum is squared apart
    ],
)
def test_random_rows(channels: int, lanes: int, x: Format, out: Format, gain: Format) -> None:
    op = layernorm(channels, x, out, gain)
    params, rows = drawn_params(op, seed=2), sequences(op, LENGTHS, seed=channels)
    last = edges(op, lanes, params, 20 + 2048 * lanes // channels, seed=channels)
    check(single(op, lanes, params), [np.concatenate([*rows, last])], [*LENGTHS, len(last)])


@pytest.mark.parametrize("x", [slow(Format(12, 5)), slow(Format(8, 0)), BIT])
def test_extreme_rows(x: Format) -> None:
    """Constant rows, the largest variance, the largest deviation of one channel, a step between neighbours."""
    channels = 48
    op = layernorm(channels, x, Format(16, 10))
    channel = np.arange(channels)
    rows = [np.full(channels, value) for value in (0, x.lo, x.hi, x.lo + 1)]
    rows += [np.where(channel % 2, x.lo, x.hi), np.where(channel == 0, x.hi, x.lo), np.where(channel == 47, x.lo, x.hi)]
    rows += [np.where(channel == 5, 1, 0), np.where(channel < 24, 1, 0), np.where(channel == 9, x.lo, 0)]
    rows += [np.random.default_rng(n).integers(x.lo >> n, (x.hi >> n) + 1, channels) for n in range(12)]
    params = drawn_params(op, seed=3)
    rows += list(edges(op, 2, params, 100, seed=3))
    check(single(op, 2, params), [np.array(rows)], [len(rows)])


def test_the_variance_takes_every_magnitude() -> None:
    """Rows of growing spread: each exponent, and mantissas all over the table."""
    op = layernorm(8, Format(12, 0), Format(16, 12))
    rng = np.random.default_rng(4)
    rows = np.clip(np.rint(rng.normal(size=(300, 8)) * 2.0 ** rng.uniform(-2, 11, (300, 1))), -2048, 2047)
    check(single(op, 8, drawn_params(op, seed=4)), [rows.astype(np.int64)], [300], test="flowing")


@pytest.mark.parametrize(("memory", "word", "bit"), [("GAIN_FILE", 3, 4), ("BIAS_FILE", 3, 12)])
def test_a_flipped_bit_is_noticed(memory: str, word: int, bit: int) -> None:
    op = layernorm(8)
    block, streams = single(op, 1, drawn_params(op, seed=5)), sequences(op, LENGTHS, seed=5)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel 3"):
        check(block, streams, LENGTHS, flip_bit(memory, word, bit), test="flowing")


def test_a_seed_table_off_by_an_eighth_is_noticed() -> None:
    def corrupt(memory: dict[str, Image]) -> dict[str, Image]:
        seeds = memory["SEED_FILE"]
        return {**memory, "SEED_FILE": replace(seeds, words=tuple(word * 7 // 8 for word in seeds.words))}

    op = layernorm(8)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 1, drawn_params(op, 5)), sequences(op, LENGTHS, 5), LENGTHS, corrupt, test="flowing")


INTERLEAVED = (20, 1, 16, 25, 12)


@pytest.mark.parametrize(("channels", "lanes"), [(8, 8), (24, 2)])
def test_interleaved_contexts(channels: int, lanes: int) -> None:
    op = layernorm(channels)
    params = drawn_params(op, seed=7)
    rows = [*sequences(op, INTERLEAVED, seed=7), last := edges(op, lanes, params, 40, seed=7)]
    check(single(op, lanes, params, contexts=3), [np.concatenate(rows)], [*INTERLEAVED, len(last)])


def test_a_token_that_goes_to_another_context_is_noticed() -> None:
    """The marker of a later beat in place of that of the beat which is summed."""
    op = layernorm(8)
    block, streams = single(op, 8, drawn_params(op, seed=7), contexts=3), sequences(op, INTERLEAVED, seed=7)
    with pytest.raises(AssertionError, match=r"token \d+ has tuser \d"):
        check(block, streams, INTERLEAVED, test="flowing", edit=("user_q[3*UserBits-1-:UserBits]", "s_axis_x_tuser"))


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "bits"), list(product((8, 48, 64, 96), (1, 2, 8), (1, 8, 9, 12))))
def test_grid(channels: int, lanes: int, bits: int) -> None:
    op = layernorm(channels, Format(bits, bits // 2, signed=bits > 1))
    check(single(op, lanes, drawn_params(op, seed=6)), sequences(op, LENGTHS, seed=bits), LENGTHS)
