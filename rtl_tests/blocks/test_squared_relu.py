"""Squared ReLU in RTL: every input value, signed and unsigned, rounded down to nothing and saturated."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import SquaredReLU
from spikegpt_hls.rtl_tests.bench import check
from spikegpt_hls.rtl_tests.marks import slow

BYTE = Format(8, 4, signed=False)


def every_byte(x: Format, channels: int, times: int = 1) -> np.ndarray:
    size = -(-256 * times // channels) * channels
    return np.random.default_rng(channels).permutation(np.resize(np.arange(x.lo, x.hi + 1), size)).reshape(-1, channels)


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "out"),
    [
        (8, 8, BYTE, BYTE),
        slow(48, 1, Format(8, 4), BYTE),
        slow(64, 2, Format(8, 7), Format(8, 2)),
        slow(96, 8, Format(8, 0), Format(6, -5, signed=False)),
        (8, 1, Format(8, 1), Format(20, 6)),
        (16, 2, Format(8, 4), Format(8, 5)),  # a signed result saturates
    ],
)
def test_every_input_value(channels: int, lanes: int, x: Format, out: Format) -> None:
    tokens = every_byte(x, channels, 2 * lanes)
    check(single(SquaredReLU(out, channels, x), lanes, {}), [tokens], [len(tokens)])


def test_a_misplaced_binary_point_is_noticed() -> None:
    op = SquaredReLU(BYTE, 8, Format(8, 4))
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 8, {}), [every_byte(op.x, 8)], [32], override={"X_FRAC": 5}, test="flowing")


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int) -> None:
    tokens = every_byte(Format(8, frac), channels)
    check(single(SquaredReLU(BYTE, channels, Format(8, frac)), lanes, {}), [tokens], [len(tokens)])
