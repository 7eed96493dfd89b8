"""Token shift in RTL: the token before, zero at a sequence's start; mixes beyond 0..1; unsigned and wide inputs."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import TokenShift
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (7, 1, 1, 12)
INTERLEAVED = (30, 1, 20, 40, 3, 25, 15)
BYTE, MU = Format(8, 4), Format(10, 8)


def near_the_edges(op: TokenShift, mu: np.ndarray, lengths: Sequence[int], seed: int) -> list[np.ndarray]:
    """Most values are the best of 64: the one whose mix lies next to a rounding tie, or to an end of what ``out``
    holds. There every bit of the re-quantization decides."""
    rng = np.random.default_rng(seed)
    unit = 2.0 ** (op.x.frac + op.mu.frac - op.out.frac)
    rows = []
    for length in lengths:
        prev = np.zeros(op.channels, np.int64)
        for _ in range(length):
            x = rng.integers(op.x.lo, op.x.hi, (64, op.channels), endpoint=True)
            mixed = ((prev << op.mu.frac) + mu * (x - prev)) / unit
            tie = np.abs(mixed - np.floor(mixed) - 0.5)
            end = np.minimum(np.abs(mixed - op.out.hi - 0.5), np.abs(mixed - op.out.lo + 0.5))
            away = np.choose(rng.integers(0, 3, op.channels), [tie, end, 0 * tie])
            prev = x[np.argmin(away, axis=0), np.arange(op.channels)]
            rows.append(prev)
    return [np.array(rows)]


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "mu", "out"),
    [
        (8, 8, BYTE, MU, BYTE),  # one beat a token: every beat reads the row that the beat before wrote
        slow(48, 2, Format(8, 6), MU, Format(8, 6)),
        slow(64, 1, Format(12, 3), Format(12, 10), Format(8, 0)),
        (96, 8, Format(8, 8, signed=False), Format(4, 2), Format(8, 9, signed=False)),
        slow(48, 8, BYTE, MU, BYTE),
        (8, 1, Format(4, -2), MU, Format(16, 7)),
    ],
)
def test_mixes(channels: int, lanes: int, x: Format, mu: Format, out: Format) -> None:
    op = TokenShift(out, channels, x, mu)
    params, lengths = random_params(op, seed=1), (*LENGTHS, 40 + 512 * lanes // channels)
    check(single(op, lanes, params), near_the_edges(op, params["mu"], lengths, seed=channels), lengths)


def test_a_flipped_mix_is_noticed() -> None:
    op = TokenShift(BYTE, 8, BYTE, MU)
    block, corrupt = single(op, 2, random_params(op, seed=2)), flip_bit("MU_FILE", 1, 10 + 7)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel 3"):
        check(block, sequences(op, LENGTHS, seed=2), LENGTHS, corrupt, test="flowing")


@pytest.mark.parametrize(("channels", "lanes", "contexts"), [(8, 8, 3), (12, 2, 5)])
def test_interleaved_contexts(channels: int, lanes: int, contexts: int) -> None:
    op = TokenShift(BYTE, channels, BYTE, MU)
    params = random_params(op, seed=4)
    streams = near_the_edges(op, params["mu"], INTERLEAVED, seed=contexts)
    check(single(op, lanes, params, contexts=contexts), streams, INTERLEAVED)


def test_a_row_shared_by_all_contexts_is_noticed() -> None:
    op = TokenShift(BYTE, 8, BYTE, MU)
    block, streams = single(op, 2, random_params(op, seed=4), contexts=3), sequences(op, INTERLEAVED, seed=3)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(block, streams, INTERLEAVED, test="flowing", edit=("s_axis_x_tuser >> 1", "s_axis_x_tuser & '0"))


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int) -> None:
    op = TokenShift(Format(8, frac), channels, Format(8, frac), MU)
    check(single(op, lanes, random_params(op, seed=3)), sequences(op, LENGTHS, seed=frac), LENGTHS)
