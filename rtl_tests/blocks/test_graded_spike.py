"""Graded spikes in RTL: every input beside thresholds from 0 to the highest, signed or not, in several contexts."""

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import GradedSpike
from spikegpt_hls.rtl_tests.bench import check, flip_bit, sequences
from spikegpt_hls.rtl_tests.marks import slow

BYTE = Format(8, 4, signed=False)


def thresholds(op: GradedSpike) -> dict[str, Ints]:
    """From the lowest to the highest there is."""
    return {"theta": np.linspace(0, op.param_format("theta").hi, op.channels).round().astype(np.int64)}


def every_value(op: GradedSpike) -> Ints:
    """Of its input, in each channel."""
    values = np.arange(op.x.lo, op.x.hi + 1)
    return np.stack([np.roll(values, 3 * channel) for channel in range(op.channels)], axis=1)


@pytest.mark.parametrize(
    ("channels", "lanes", "x", "out"),
    [
        (8, 8, BYTE, BYTE),
        (6, 1, Format(8, 4), Format(8, 5)),  # a signed input; a result that saturates
        slow(16, 2, Format(6, 0), Format(20, 6)),
        slow(24, 4, Format(8, 0, signed=False), Format(6, -5, signed=False)),
    ],
)
def test_every_input_value(channels: int, lanes: int, x: Format, out: Format) -> None:
    op = GradedSpike(out, channels, x)
    tokens = every_value(op)
    check(single(op, lanes, thresholds(op)), [tokens], [len(tokens)])


def test_contexts_share_the_thresholds() -> None:
    op, lengths = GradedSpike(BYTE, 8, BYTE), (9, 1, 12, 6)
    check(single(op, 2, thresholds(op), contexts=3), sequences(op, lengths, seed=5), lengths)


def test_a_flipped_threshold_is_noticed() -> None:
    op = GradedSpike(BYTE, 8, BYTE)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel 5"):
        check(single(op, 2, thresholds(op)), [every_value(op)], [256], corrupt=flip_bit("THETA_FILE", 2, 8 + 3),
              test="flowing")  # fmt: skip
