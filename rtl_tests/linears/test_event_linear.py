"""A Linear driven by events in RTL: bits and numbers in, from silence to every input at once, a step for each event."""

from dataclasses import replace
from math import ceil, lcm

import numpy as np
import pytest

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding, Linear
from spikegpt_hls.rtl_tests.bench import check, flip_bit, random_params
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.sim.cycles.schedule import simulate, slope

BYTE, UNSIGNED = Format(8, 4), Format(8, 4, signed=False)
SHARES = (0, 0.01, 0.1, 0.5, 1)


def linear(inputs: int, outputs: int, weight: Format, x: Format, out: Format | None = BYTE) -> Linear:
    op = Linear(out or BIT, inputs, outputs, x, weight)
    return op if out else Linear(op.accumulator, inputs, outputs, x, weight)


def tokens(op: Linear, count: int, seed: int) -> Ints:
    """Behind the hostile ones (silence, an event in the first or in the last channel alone, all inputs at once after
    silence, silence after that) tokens of every share of events, in a random order."""
    rng = np.random.default_rng(seed)
    values = rng.integers(op.x.lo, op.x.hi, (count, op.inputs), endpoint=True)
    values = np.where(values == 0, op.x.hi, values)
    shares = rng.choice(SHARES, (count, 1))
    found = np.where(rng.random(values.shape) < shares, values, 0)
    hostile = np.zeros((6, op.inputs), np.int64)
    hostile[1, 0], hostile[2, -1], hostile[4] = op.x.hi, op.x.lo or op.x.hi, op.x.hi
    return np.concatenate([hostile, found])


def reuse_factor(op: Linear, lanes: int, pe: int) -> int:
    """Of so many adders; their last row may lack outputs."""
    word = lcm(pe, lanes)
    return op.inputs * ceil(op.outputs / word) * (word // pe)


def run(op: Linear, lanes: int, pe: int, contexts: int = 1, silent: int | None = None, **changes: object) -> None:
    """``silent``: the sequence without an event."""
    block = single(op, lanes, random_params(op, seed=1), reuse_factor(op, lanes, pe), contexts=contexts, events=True)
    lengths = (14, 1, 21, 20)
    given = tokens(op, sum(lengths) - 6, seed=lanes)
    if silent is not None:
        given[sum(lengths[:silent]) : sum(lengths[: silent + 1])] = 0
    check(block, [given], lengths, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "outputs", "lanes", "pe", "weight", "x", "out"),
    [
        (64, 32, 1, 8, Format(8, 7), BIT, BYTE),  # bits, one a beat
        (48, 16, 8, 4, Format(8, 7), BIT, Format(6, 2)),  # a word of several rows
        (16, 16, 2, 16, Format(2, 1), UNSIGNED, BYTE),  # every output at once: a step is a token's event
        (24, 24, 8, 1, Format(4, 3), Format(8, 4), BYTE),  # signed numbers, one multiplier
        (8, 8, 8, 8, Format(8, 7), UNSIGNED, None),  # a token of one beat, whose accumulators leave
        (16, 20, 1, 3, Format(8, 7), BIT, BYTE),  # rows of 3: the last one lacks an output
        (16, 16, 4, 6, Format(8, 7), UNSIGNED, BYTE),  # words of 12: the last one sends a beat of three
        slow(64, 64, 1, 32, Format(8, 7), UNSIGNED, BYTE),
        slow(96, 48, 2, 6, Format(2, 1), BIT, Format(8, 2)),
        slow(12, 6, 1, 2, Format(8, 7), Format(8, 4), None),
    ],
)
def test_products(
    inputs: int, outputs: int, lanes: int, pe: int, weight: Format, x: Format, out: Format | None
) -> None:
    run(linear(inputs, outputs, weight, x, out), lanes, pe)


@pytest.mark.parametrize(("lanes", "x"), [(2, BIT), slow(8, UNSIGNED)])
def test_interleaved_contexts(lanes: int, x: Format) -> None:
    run(linear(16, 8, Format(8, 7), x), lanes, 4, contexts=3, silent=2)


@pytest.mark.parametrize(("lanes", "pe"), [(1, 8), (8, 4), (2, 32), (8, 32), (1, 3), (4, 6)])
def test_a_token_takes_as_many_cycles_as_its_events(lanes: int, pe: int) -> None:
    """Alone, from its last beat in to its last beat out: a step for each event and row, and a constant. Behind another,
    from that one's last step: max(beats, events x outputs / PE). The RTL's cycles are the simulator's (``check``)."""
    op = linear(64, 32, Format(8, 7), BIT)
    block = single(op, lanes, random_params(op, seed=1), reuse_factor(op, lanes, pe), events=True)
    counts = np.count_nonzero(tokens(op, 200, seed=pe), axis=1)
    made = replace(single(BinaryEmbedding(BIT, 2, 64), lanes, {}), inputs=("ids",), outputs=("x",))
    flow = Dataflow((made, replace(block, inputs=("x",))), "ids", "m_axis")
    beats_in, beats_out, folding = 64 // lanes, 32 // lanes, block.folding
    alone = simulate(flow, len(counts), np.arange(len(counts)) * 1000, events={block.name: counts})
    came, left = (alone.times[stream].reshape(len(counts), -1)[:, -1] for stream in ("x", "m_axis"))
    word = np.maximum(counts, 1) * folding.rows_per_word  # steps; the serializer paces the words after the first
    sends, last = folding.word // lanes, beats_out - (folding.words - 1) * (folding.word // lanes)
    assert np.array_equal(left - came, word + (folding.words - 1) * np.maximum(word, sends) + 13 + last - 1)
    for count in (0, 1, 6, 32, 64):
        same = simulate(flow, 60, events={block.name: np.full(60, count)})
        paced = folding.words * max(max(count, 1) * folding.rows_per_word, sends)
        assert slope(same.token_end) == max(beats_in, paced)
        if 32 % folding.word == 0:
            assert paced == max(beats_out, max(count, 1) * 32 / pe)


def test_a_flipped_weight_is_noticed() -> None:
    """Word 13 of a row of 16 inputs in 2 lanes is that of lane 1, beat 5."""
    with pytest.raises(AssertionError, match=r"first difference at token \d+, channel 2"):
        run(
            linear(16, 4, Format(8, 7), BIT, None), 2, 4, corrupt=flip_bit("WEIGHT_FILE", 13, 8 * 2 + 6), test="flowing"
        )


def test_an_event_that_is_listed_twice_is_noticed() -> None:
    edit = "fill_last ? '0 : counts_new", "counts_new"
    with pytest.raises(AssertionError, match="first difference"):
        run(linear(16, 8, Format(8, 7), BIT), 2, 4, edit=edit, test="flowing")
