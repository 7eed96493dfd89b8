"""WKV in RTL: random states, decay at both ends, keys far apart, and tokens shorter than the state's loop."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import WKV
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params, sequences

LENGTHS = (13, 1, 30)
INTERLEAVED = (60, 1, 80, 40, 3, 70, 50)
KEY, VALUE = Format(8, 4), Format(8, 5)


def wkv(channels: int, k: Format = KEY, v: Format = VALUE, out: Format | None = None) -> WKV:
    return WKV(out or Format(10, v.frac + 2), channels, k, v)


@pytest.mark.parametrize(
    ("channels", "lanes", "k", "v", "out"),
    [
        (8, 8, Format(8, 4), Format(8, 5), None),  # one beat a token: the interlock paces every one
        (8, 1, Format(8, 4), Format(8, 0), None),  # one beat fewer than two under the loop
        (64, 8, Format(8, 6), Format(8, 5), Format(8, 5)),
        (48, 2, Format(8, 0), Format(8, 8), Format(6, 7)),
        (96, 2, Format(6, 7), Format(4, 2), Format(12, 9)),
        (64, 1, Format(8, 2), Format(8, 6, signed=False), Format(8, 6, signed=False)),
        (8, 2, Format(8, 5, signed=False), Format(8, 4), Format(8, 3)),
    ],
)
def test_random_sequences(channels: int, lanes: int, k: Format, v: Format, out: Format | None) -> None:
    op = wkv(channels, k, v, out)
    block = single(op, lanes, random_params(op, seed=1))
    check(block, sequences(op, LENGTHS, seed=channels), LENGTHS)
    # Keys within a few octaves of each other: every bit of a state decides, sooner or later.
    tokens = 8_192 * lanes // channels
    keys, values = sequences(op, [tokens], seed=channels + 1)
    near = np.clip(keys % (4 << k.frac), k.lo, k.hi) if k.frac < k.bits else keys
    check(block, [near, values], [tokens], test="flowing")


def test_decay_at_its_ends_and_keys_far_apart() -> None:
    """A channel that forgets at once, some that hardly forget; a huge key, then tiny ones; values at their ends."""
    op = wkv(8, Format(8, 0))
    decay = np.array([0, 1, 65535, 65535, 32768, 65534, 2, 60000])
    bonus = np.array([0, -2048, 2047, 0, 64, -1, 1, 300])
    tokens = 150
    keys, values = sequences(op, [tokens], seed=3)
    keys[:] = np.where(np.arange(tokens)[:, None] % 50 == 0, 127, -128 + np.abs(keys) % 5)
    keys[100:] = np.random.default_rng(0).integers(-20, 20, (50, 8))
    values[:40] = np.where(np.arange(40)[:, None] % 20 < 10, -128, 127)
    lengths = (100, 1, 49)
    check(single(op, 2, {"decay": decay, "bonus": bonus}), [keys, values], lengths)


@pytest.mark.parametrize("value", [-128, 127])
def test_a_constant_value_is_its_own_mean(value: int) -> None:
    op = wkv(8)
    keys = sequences(op, [60], seed=5)[0]
    check(single(op, 8, random_params(op, seed=6)), [keys, np.full((60, 8), value)], [60], test="flowing")


def test_a_long_sequence() -> None:
    op = wkv(8)
    decay = np.array([65000, 65500, 65530, 50000, 30000, 10000, 1000, 65535])
    params = {"decay": decay, "bonus": np.arange(8) * 37 - 100}
    check(single(op, 8, params), sequences(op, [1500], seed=7), [1500], test="flowing")


@pytest.mark.parametrize(
    ("memory", "word", "bit"),
    [("CHANNEL_FILE", 6, 26), ("CHANNEL_FILE", 6, 8), ("KEY_FILE", 0, 7), ("EXP2_FILE", 0, 13)],
)
def test_a_flipped_bit_is_noticed(memory: str, word: int, bit: int) -> None:
    op = wkv(8)
    channel = word if memory == "CHANNEL_FILE" else r"\d+"
    params = {"decay": np.full(8, 40000), "bonus": np.zeros(8, np.int64)}
    with pytest.raises(AssertionError, match=rf"first difference at token \d+, channel {channel}"):
        check(
            single(op, 1, params), sequences(op, LENGTHS, seed=8), LENGTHS, flip_bit(memory, word, bit), test="flowing"
        )


@pytest.mark.parametrize(("channels", "lanes", "contexts"), [(8, 8, 3), (24, 2, 5)])
def test_interleaved_contexts(channels: int, lanes: int, contexts: int) -> None:
    """Tokens shorter than the state's loop, and longer ones."""
    op = wkv(channels)
    block = single(op, lanes, random_params(op, seed=4), contexts=contexts)
    check(block, sequences(op, INTERLEAVED, seed=contexts), INTERLEAVED)


@pytest.mark.parametrize("word", ["context4, read_index", "context13, write_index"])
def test_a_state_of_another_context_is_noticed(word: str) -> None:
    op = wkv(8)
    block, streams = single(op, 2, random_params(op, seed=4), contexts=3), sequences(op, INTERLEAVED, seed=3)
    context, index = word.split(", ")
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(block, streams, INTERLEAVED, test="flowing", edit=(word, f"{context} & '0, {index}"))


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int) -> None:
    op = wkv(channels, Format(8, frac), Format(8, 8 - frac))
    check(single(op, lanes, random_params(op, seed=9)), sequences(op, LENGTHS, seed=frac), LENGTHS)
