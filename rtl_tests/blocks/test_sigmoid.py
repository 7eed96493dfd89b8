"""Sigmoid in RTL: every entry of the table, at every address width that a receptance has."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import Sigmoid
from spikegpt_hls.rtl_tests.bench import check, flip_bit, sequences
from spikegpt_hls.rtl_tests.marks import slow

UNIT = Format(8, 8, signed=False)


def every_input(x: Format, channels: int, least: int = 1) -> np.ndarray:
    """Tokens that hold every value of ``x`` at least once, shuffled; ``least`` values in all."""
    size = -(-max(x.hi - x.lo + 1, least) // channels) * channels
    values = np.resize(np.arange(x.lo, x.hi + 1), size)
    return np.random.default_rng(x.bits).permutation(values).reshape(-1, channels)


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "out"),
    [
        (8, 8, Format(8, 4), UNIT),
        slow(48, 1, Format(8, 0), Format(10, 9)),
        (64, 2, Format(8, 7, signed=False), UNIT),
        slow(96, 8, Format(10, 6), Format(4, 3)),
        (8, 1, Format(3, 0), UNIT),
    ],
)
def test_every_input_value(channels: int, lanes: int, x: Format, out: Format) -> None:
    tokens = every_input(x, channels, 512 * lanes)
    check(single(Sigmoid(out, channels, x), lanes, {}), [tokens], [len(tokens)])


def test_interleaved_contexts() -> None:
    op, lengths = Sigmoid(UNIT, 8, Format(8, 4)), (4, 1, 6, 5, 2)
    check(single(op, 2, {}, contexts=3), sequences(op, lengths, seed=2), lengths)


def test_a_flipped_bit_is_noticed() -> None:
    """Address 0x90 is the input -112."""
    op = Sigmoid(UNIT, 8, Format(8, 4))
    tokens = every_input(op.x, 8)
    token, channel = np.argwhere(tokens == -112)[0]
    with pytest.raises(AssertionError, match=f"first difference at token {token}, channel {channel}"):
        check(single(op, 8, {}), [tokens], [len(tokens)], flip_bit("TABLE_FILE", 0x90, 0), test="flowing")


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int) -> None:
    tokens = every_input(Format(8, frac), channels)
    check(single(Sigmoid(UNIT, channels, Format(8, frac)), lanes, {}), [tokens], [len(tokens)])
