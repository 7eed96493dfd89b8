"""LIF in RTL: every input value, corner formats, membranes that outlive tokens and end with sequences."""

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF
from spikegpt_hls.rtl_tests.bench import check, sequences

LENGTHS = (17, 1, 40)
INTERLEAVED = (9, 1, 14, 12, 3, 7, 5)


def near_the_threshold(op: LIF, seed: int) -> list[np.ndarray]:
    """Random inputs, then 200 tokens, of which most lift the membrane just to the threshold or just not: there every
    bit of a membrane that counts decides spikes."""
    (x,) = sequences(op, (*LENGTHS, 200), seed)
    rng, state = np.random.default_rng(seed), op.initial_state(1)
    threshold, step = 1 << op.membrane.frac, 1 << (op.membrane.frac - op.x.frac)
    for t in range(-200, 0):
        least = -((state["membrane"][0] - 2 * threshold) // step)  # that fires
        near = np.clip(least - rng.integers(0, 2, op.channels), op.x.lo, op.x.hi)
        x[t] = np.where(rng.random(op.channels) < 0.8, near, rng.integers(op.x.lo, op.x.hi, op.channels))
        _, state = op.run([x[None, None, t]], {}, state)
    return [x]


@pytest.mark.parametrize(
    ("channels", "lanes", "fmt"),
    [(8, 8, Format(8, 4)), (64, 2, Format(8, 6)), (48, 1, Format(8, 0)), (96, 8, Format(6, -1)), (8, 1, Format(8, 9))],
)
def test_spikes(channels: int, lanes: int, fmt: Format) -> None:
    op = LIF.of(channels, fmt)
    check(single(op, lanes, {}), near_the_threshold(op, channels), (*LENGTHS, 200))


def test_every_input_value() -> None:
    op = LIF.of(8, Format(8, 5))
    x = np.repeat(np.arange(-128, 128), 8).reshape(-1, 8)
    check(single(op, 8, {}), [np.random.default_rng(0).permuted(x, axis=0)], [256])


@pytest.mark.parametrize(("channels", "lanes", "contexts"), [(8, 8, 3), (12, 2, 5)])
def test_interleaved_contexts(channels: int, lanes: int, contexts: int) -> None:
    """Tokens of one beat under the interlock, and beats that are no power of two."""
    op = LIF.of(channels, Format(8, 4))
    check(single(op, lanes, {}, contexts=contexts), sequences(op, INTERLEAVED, seed=contexts), INTERLEAVED)


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
