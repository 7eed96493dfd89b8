"""LIF in RTL: every input value, corner formats, membranes that outlive tokens and end with sequences."""

from collections.abc import Sequence

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF
from spikegpt_hls.rtl_tests.bench import check, sequences
from spikegpt_hls.rtl_tests.marks import slow

LENGTHS = (17, 1, 40, 200)
INTERLEAVED = (60, 1, 80, 40, 3, 70, 50)


def near_the_threshold(op: LIF, lengths: Sequence[int], seed: int) -> list[np.ndarray]:
    """Most tokens lift the membrane just to the threshold or just not: there every bit that counts decides spikes."""
    rng = np.random.default_rng(seed)
    threshold, step = 1 << op.membrane.frac, 1 << (op.membrane.frac - op.current.frac)
    rows = []
    for length in lengths:
        state = op.initial_state(1)
        for _ in range(length):
            least = -((state["membrane"][0] - 2 * threshold) // step)  # that fires
            near = np.clip(least - rng.integers(0, 2, op.channels), op.x.lo, op.x.hi)
            far = rng.integers(op.x.lo, op.x.hi, op.channels, endpoint=True)
            rows.append(np.where(rng.random(op.channels) < 0.8, near, far))
            _, state = op.run([rows[-1][None, None]], {}, state)
    return [np.array(rows)]


@pytest.mark.parametrize(
    ("channels", "lanes", "fmt", "drive"),
    [
        (8, 8, Format(8, 4), 0), slow(64, 2, Format(8, 6), 0), slow(48, 1, Format(8, 0), 0),
        (96, 8, Format(6, -1), 0), (8, 1, Format(8, 9), 1), (8, 4, Format(8, 4, signed=False), 0),
        slow(8, 2, Format(8, 0), 3),
    ],
    ids=str,
)  # fmt: skip
def test_spikes(channels: int, lanes: int, fmt: Format, drive: int) -> None:
    op = LIF.of(channels, fmt, drive)
    check(single(op, lanes, {}), near_the_threshold(op, LENGTHS, channels), LENGTHS)


def test_every_input_value() -> None:
    op = LIF.of(8, Format(8, 5))
    x = np.repeat(np.arange(-128, 128), 8).reshape(-1, 8)
    check(single(op, 8, {}), [np.random.default_rng(0).permuted(x, axis=0)], [256])


@pytest.mark.parametrize(("channels", "lanes", "contexts"), [(8, 8, 3), (12, 2, 5)])
def test_interleaved_contexts(channels: int, lanes: int, contexts: int) -> None:
    """Tokens of one beat under the interlock, and beats that are no power of two."""
    op = LIF.of(channels, Format(8, 4))
    streams = near_the_threshold(op, INTERLEAVED, seed=contexts)
    check(single(op, lanes, {}, contexts=contexts), streams, INTERLEAVED)


def test_a_membrane_shared_by_all_contexts_is_noticed() -> None:
    op = LIF.of(8, Format(8, 4))
    block, streams = single(op, 2, {}, contexts=3), sequences(op, INTERLEAVED, seed=3)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(block, streams, INTERLEAVED, test="flowing", edit=("s_axis_x_tuser >> 1", "s_axis_x_tuser & '0"))


def test_a_misplaced_binary_point_is_noticed() -> None:
    """The bench can fail."""
    op = LIF.of(8, Format(8, 4))
    streams = sequences(op, LENGTHS, seed=1)
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel \d+"):
        check(single(op, 8, {}), streams, LENGTHS, override={"X_FRAC": 5}, test="flowing")
