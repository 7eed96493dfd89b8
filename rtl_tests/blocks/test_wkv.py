"""WKV in RTL: random states, decay at both ends, keys far apart, and tokens shorter than the state's loop."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import WKV
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (13, 1, 30)
INTERLEAVED = (60, 1, 80, 40, 3, 70, 50)
KEY, VALUE = Format(8, 4), Format(8, 5)


def wkv(channels: int, k: Format = KEY, v: Format = VALUE, out: Format | None = None) -> WKV:
    return WKV(out or Format(10, v.frac + 2), channels, k, v)


def near_the_edges(op: WKV, params: Mapping[str, np.ndarray], lengths: Sequence[int], seed: int) -> list[np.ndarray]:
    """Of 256 keys and values always those whose mean lies next to an edge between two results, and keys within a few
    octaves of each other: there every bit of a state and of the division decides."""
    rng = np.random.default_rng(seed)
    fine = replace(op, out=Format(op.out.bits + 10, op.out.frac + 10, op.out.signed))
    least, most = (0, min(4 << op.k.frac, op.k.hi + 1)) if op.k.frac < op.k.bits else (op.k.lo, op.k.hi + 1)
    shape, rows = (256, 1, op.channels), []
    for length in lengths:
        state = op.initial_state(1)
        for _ in range(length):
            tried = [rng.integers(least, most, shape), rng.integers(op.v.lo, op.v.hi, shape, endpoint=True)]
            y, after = fine.run(tried, params, {name: np.repeat(value, 256, axis=0) for name, value in state.items()})
            best = np.argmin(np.abs((y[:, 0] & 1023) - 512), axis=0), np.arange(op.channels)
            state = {name: value[best][None] for name, value in after.items()}
            rows.append([values[:, 0][best] for values in tried])
    keys, values = zip(*rows, strict=True)
    return [np.array(keys), np.array(values)]


@pytest.mark.parametrize(
    ("channels", "lanes", "k", "v", "out"),
    [
        (8, 8, Format(8, 4), Format(8, 5), None),  # one beat a token: the interlock paces every one
        (8, 1, Format(8, 4), Format(8, 0), None),  # one beat fewer than two under the loop
        slow(64, 8, Format(8, 6), Format(8, 5), Format(8, 5)),
        slow(48, 2, Format(8, 0), Format(8, 8), Format(6, 7)),
        slow(96, 2, Format(6, 7), Format(4, 2), Format(12, 9)),
        (64, 1, Format(8, 2), Format(8, 6, signed=False), Format(8, 6, signed=False)),
        (8, 2, Format(8, 5, signed=False), Format(8, 4), Format(8, 3)),
    ],
)
def test_random_sequences(channels: int, lanes: int, k: Format, v: Format, out: Format | None) -> None:
    op = wkv(channels, k, v, out)
    block = single(op, lanes, random_params(op, seed=1))
    check(block, sequences(op, LENGTHS, seed=channels), LENGTHS)
    tokens = 4_096 * lanes // channels
    check(block, near_the_edges(op, block.params, [tokens], seed=channels + 1), [tokens], test="flowing")


def test_decay_at_its_ends_and_keys_far_apart() -> None:
    """A channel that forgets at once, some that hardly forget; a huge key, then tiny ones; values at their ends."""
    op = wkv(8, Format(8, 0))
    loss = np.array([0, 0, 1, 65535, 32768, 2, 65535, 0])
    halvings = np.array([511, 0, 0, 0, 390, 0, 511, 401])  # 401 leave nothing beside any key
    bonus = np.array([0, -32768, 32767, 0, 1024, -1, 1, 300])
    tokens = 150
    keys, values = sequences(op, [tokens], seed=3)
    keys[:] = np.where(np.arange(tokens)[:, None] % 50 == 0, 127, -128 + np.abs(keys) % 5)
    keys[100:] = np.random.default_rng(0).integers(-20, 20, (50, 8))
    values[:40] = np.where(np.arange(40)[:, None] % 20 < 10, -128, 127)
    lengths, params = (100, 1, 49, 200), {"loss": loss, "halvings": halvings, "bonus": bonus}
    near = near_the_edges(op, params, lengths[3:], seed=4)
    check(single(op, 2, params), [np.concatenate(pair) for pair in zip([keys, values], near, strict=True)], lengths)


@pytest.mark.parametrize("value", [-128, 127])
def test_a_constant_value_is_its_own_mean(value: int) -> None:
    op = wkv(8)
    keys = sequences(op, [60], seed=5)[0]
    check(single(op, 8, random_params(op, seed=6)), [keys, np.full((60, 8), value)], [60], test="flowing")


def test_a_long_sequence() -> None:
    op = wkv(8)
    loss, halvings = np.array([1000, 100, 10, 1, 0, 31000, 55000, 65535]), np.array([0, 0, 0, 0, 0, 0, 1, 4])
    params = {"loss": loss, "halvings": halvings, "bonus": np.arange(8) * 600 - 1600}
    check(single(op, 8, params), sequences(op, [1500], seed=7), [1500], test="flowing")


@pytest.mark.parametrize(
    ("memory", "word", "bit"),
    [
        ("BONUS_FILE", 6, 12),
        ("DECAY_FILE", 6, 14),
        ("DECAY_FILE", 6, 16),
        ("KEY_FILE", 0, 11),
        ("EXP2_FILE", 0, 13),
    ],
)
def test_a_flipped_bit_is_noticed(memory: str, word: int, bit: int) -> None:
    op = wkv(8)
    channel = word if memory in ("BONUS_FILE", "DECAY_FILE") else r"\d+"
    params = {"loss": np.full(8, 50000), "halvings": np.zeros(8, np.int64), "bonus": np.zeros(8, np.int64)}
    with pytest.raises(AssertionError, match=rf"first difference at token \d+, channel {channel}"):
        check(
            single(op, 1, params), sequences(op, LENGTHS, seed=8), LENGTHS, flip_bit(memory, word, bit), test="flowing"
        )


@pytest.mark.parametrize(("channels", "lanes", "contexts"), [(8, 8, 3), slow(24, 2, 5)])
def test_interleaved_contexts(channels: int, lanes: int, contexts: int) -> None:
    """Tokens shorter than the state's loop, and longer ones."""
    op = wkv(channels)
    block = single(op, lanes, random_params(op, seed=4), contexts=contexts)
    check(block, near_the_edges(op, block.params, INTERLEAVED, seed=contexts), INTERLEAVED)


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
