"""Gate in RTL: products over whole ranges, roundings of ties, and two streams that stall one another."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import Gate
from spikegpt_hls.rtl_tests.bench import check, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (9, 1, 20)
UNIT = Format(8, 8, signed=False)


@pytest.mark.parametrize(
    ("channels", "lanes", "r", "y", "out", "depth"),
    [
        (8, 8, UNIT, Format(10, 6), Format(8, 4), 2),
        (48, 2, UNIT, Format(8, 0), Format(8, -3), 3),
        slow(64, 1, Format(8, 7), Format(12, 9), Format(6, 5, signed=False), 64),
        slow(96, 8, UNIT, Format(8, 8, signed=False), Format(16, 16, signed=False), 2),
        (8, 1, UNIT, Format(10, 4), Format(8, 14), 1),  # multiplied up; a FIFO of one place
    ],
)
def test_products(channels: int, lanes: int, r: Format, y: Format, out: Format, depth: int) -> None:
    op, lengths = Gate(out, channels, r, y), (*LENGTHS, 512 * lanes // channels)
    check(single(op, lanes, {}, depth=depth), sequences(op, lengths, seed=channels), lengths)


def test_every_pair_of_receptance_and_value() -> None:
    op = Gate(Format(8, 4), 256, UNIT, Format(8, 4))
    r, y = np.meshgrid(np.arange(256), np.arange(-128, 128), indexing="ij")
    check(single(op, 8, {}), [r, y], [256], test="flowing")


def test_a_misplaced_binary_point_is_noticed() -> None:
    op = Gate(Format(8, 4), 8, UNIT, Format(10, 6))
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 8, {}), sequences(op, LENGTHS, seed=1), LENGTHS, override={"Y_FRAC": 7}, test="flowing")


@pytest.mark.soak
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int) -> None:
    op = Gate(Format(8, 4), channels, UNIT, Format(10, frac))
    check(single(op, lanes, {}), sequences(op, LENGTHS, seed=frac), LENGTHS)
