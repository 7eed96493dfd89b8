"""Residual in RTL: every value with and without a spike, saturated and grown, on coarse and fine grids; and with a
second stream of numbers, shifted up, rounded, and beyond the range of the first."""

from itertools import product

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, Residual
from spikegpt_hls.rtl_tests.bench import check, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (9, 1, 20)


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "out", "depth"),
    [
        (8, 8, Format(8, 4), Format(8, 4), 2),  # saturates
        slow(48, 2, Format(10, 0), Format(11, 0), 2),
        (64, 1, BIT, Format(3, 0), 100),  # the embedding's bits
        slow(96, 8, Format(8, 8, signed=False), Format(9, 8, signed=False), 5),
        (8, 1, Format(4, 9), Format(12, 9), 2),  # a spike beyond the range of x
    ],
)
def test_sums(channels: int, lanes: int, x: Format, out: Format, depth: int) -> None:
    op, lengths = Residual(out, channels, x), (*LENGTHS, 512 * lanes // channels)
    check(single(op, lanes, {}, depth=depth), sequences(op, lengths, seed=channels), lengths)


def test_every_input_value_with_and_without_a_spike() -> None:
    op = Residual(Format(8, 5), 64, Format(8, 5))
    x, spikes = np.resize(np.arange(-128, 128), (8, 64)), np.random.default_rng(1).integers(0, 2, (4, 64))
    check(single(op, 8, {}), [x, np.concatenate([spikes, 1 - spikes])], [8])


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "s", "out"),
    [
        (8, 8, Format(8, 4), Format(8, 4), Format(8, 4)),  # one grid; saturates at both ends
        slow(48, 2, Format(12, 5), Format(8, 3), Format(13, 5)),  # shifted up
        (16, 1, Format(10, 4), Format(8, 7), Format(10, 4)),  # rounded
        slow(96, 8, Format(8, 1, signed=False), Format(9, 2, signed=False), Format(8, 1, signed=False)),
        slow(8, 1, Format(4, 0), Format(3, 9), Format(5, 0)),  # rounded away
        (8, 2, Format(3, 2), Format(12, 1), Format(8, 2)),  # wider than x
        (8, 8, BIT, Format(8, 6), Format(9, 0)),  # the embedding's bits
    ],
)
def test_sums_of_numbers(channels: int, lanes: int, x: Format, s: Format, out: Format) -> None:
    op, lengths = Residual(out, channels, x, s), (*LENGTHS, 512 * lanes // channels)
    check(single(op, lanes, {}, depth=3), sequences(op, lengths, seed=channels), lengths)


def test_every_pair_of_numbers_with_every_tie() -> None:
    op = Residual(Format(8, 4), 256, Format(8, 4), Format(8, 6))
    x, s = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    check(single(op, 8, {}), [x, s], [256], test="flowing")


@pytest.mark.parametrize("shift", [1, 2])
def test_numbers_that_are_not_rounded_half_to_even_are_noticed(shift: int) -> None:
    op = Residual(Format(10, 4), 8, Format(8, 4), Format(8, 4 + shift))
    ties = ("((added & Rest) != '0 || floor[0])", "1'b1")
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 8, {}), sequences(op, LENGTHS, seed=1), LENGTHS, edit=ties, test="flowing")


def test_interleaved_contexts() -> None:
    op, lengths = Residual(Format(8, 4), 8, Format(8, 4)), (4, 1, 6, 5, 2)
    check(single(op, 2, {}, contexts=3), sequences(op, lengths, seed=2), lengths)


def test_a_spike_of_the_wrong_worth_is_noticed() -> None:
    op = Residual(Format(8, 4), 8, Format(8, 4))
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 8, {}), sequences(op, LENGTHS, seed=1), LENGTHS, override={"X_FRAC": 3}, test="flowing")


@pytest.mark.soak
@pytest.mark.parametrize("s", [BIT, Format(8, 4)], ids=str)
@pytest.mark.parametrize(("channels", "lanes", "frac"), list(product((8, 48, 64, 96), (1, 2, 8), (0, 4, 8))))
def test_grid(channels: int, lanes: int, frac: int, s: Format) -> None:
    op = Residual(Format(9, frac), channels, Format(8, frac), s)
    check(single(op, lanes, {}), sequences(op, LENGTHS, seed=frac), LENGTHS)
