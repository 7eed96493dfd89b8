"""The class sum: the sums of every sentence, of the longest at the ends of their range, whoever stalls."""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops.class_sum import ClassSum
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD, restart
from spikegpt_hls.rtl_tests.ip.ports import broken, drive, until, watch
from spikegpt_hls.rtl_tests.top.taps import signed

SENTENCES = 40


def sentences(classes: int, total: ClassSum, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (tokens, classes) and lengths: sentences of any length, of one token, and of the most, whose logits are
    all at one end."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, min(total.longest, 9), SENTENCES, endpoint=True)
    lengths[::5] = 1
    lengths[[3, 4, 7]] = total.longest
    x = total.x
    logits = [rng.integers(x.lo, x.hi, (length, classes), endpoint=True) for length in lengths]
    logits[3][:], logits[4][:] = x.lo, x.hi
    logits[7][:] = rng.choice([x.lo, x.hi], classes)
    return np.concatenate(logits), lengths


@cocotb.test()
@cocotb.parametrize(pace=range(4))
async def adds_up(dut: Any, pace: int) -> None:
    idle, stall = ((0, 0), (0.5, 0), (0, 0.7), (0.4, 0.4))[pace]
    classes, longest = int(os.environ["CLASSES"]), int(os.environ["LONGEST"])
    lanes, bits, width = (int(getattr(dut, name).value) for name in ("LANES", "X_BITS", "OUT_BITS"))
    total = ClassSum(Format(bits, 0), longest)
    logits, lengths = sentences(classes, total, pace)
    ends = np.isin(np.arange(len(logits)) + 1, np.cumsum(lengths))
    marks = np.random.default_rng(pace).integers(0, 8, len(logits)).tolist()  # of a sentence: its last token's
    rows = np.concatenate([logits, np.full((len(logits), -classes % lanes), total.x.hi)], axis=1)  # lanes of no class
    words = [pack(row.reshape(-1, lanes), bits).words for row in rows]
    offered = [
        {"tdata": word, "tlast": int(n == len(token) - 1), "tuser": mark << 1 | int(last)}
        for token, mark, last in zip(words, marks, ends, strict=True)
        for n, word in enumerate(token)
    ]
    got: list[dict[str, int]] = []
    await restart(dut, ["s_axis_x"])
    cocotb.start_soon(watch(dut, "m_axis", "tdata tlast tuser", stall, pace, got))
    dut.s_axis_x_tvalid.value = 0
    dut.rst.value = 0
    sent = cocotb.start_soon(drive(dut, "s_axis_x", offered, idle, pace))
    beats = rows.shape[1] // lanes
    await until(dut, lambda: sent.done() and len(got) >= SENTENCES * beats, 20 * len(offered))
    await ClockCycles(dut.clk, 20)
    assert len(got) == SENTENCES * beats
    assert [beat["tlast"] for beat in got] == SENTENCES * [*[0] * (beats - 1), 1]
    assert [beat["tuser"] for beat in got] == [marks[end] for end in np.flatnonzero(ends) for _ in range(beats)]
    fields = np.array([[beat["tdata"] >> lane * width & (1 << width) - 1 for lane in range(lanes)] for beat in got])
    sums = signed(fields, Format(width, 0)).reshape(SENTENCES, -1)[:, :classes]
    wrong = np.flatnonzero((sums != total.run(logits, lengths)).any(1)).tolist()
    assert not wrong, f"the sums of the sentences {wrong} differ"


def run(folder: Path, files: list[Path], classes: int, lanes: int, bits: int, longest: int, **other: int) -> None:
    out = ClassSum(Format(bits, 0), longest).out.bits
    shape = {"BEATS": -(-classes // lanes), "LANES": lanes, "X_BITS": bits, "OUT_BITS": out, "USER_BITS": 3, **other}
    simulator.build(files, "class_sum", folder, shape)
    simulator.run("class_sum", __name__, folder, {"CLASSES": str(classes), "LONGEST": str(longest)})


@pytest.mark.parametrize(
    ("classes", "lanes", "bits", "longest"),
    [(2, 2, 20, 90), (5, 2, 21, 64), (5, 8, 9, 17), (3, 1, 1, 5), (2, 1, 32, 130), (7, 1, 6, 1)],
)
def test_sums_are_those_of_the_integer_meaning(classes: int, lanes: int, bits: int, longest: int) -> None:
    folder = BUILD.resolve() / f"class_sum_{classes}_{lanes}_{bits}_{longest}"
    run(folder, sources("class_sum"), classes, lanes, bits, longest)


@pytest.mark.parametrize(
    ("whole", "instead"),
    [
        ("first_q <= ends", "first_q <= 1'b0"),
        ("$signed", "$unsigned"),
        (".s_valid(take && ends)", ".s_valid(take)"),
        ("if (s_axis_x_tlast) first_q", "first_q"),
    ],
)
def test_a_sum_that_errs_is_noticed(whole: str, instead: str) -> None:
    """The negative control: sums that outlive their sentence, unsigned logits, a sum that leaves with every
    token, a sentence that begins anew within a token."""
    with pytest.raises(AssertionError):
        run(*broken("class_sum", whole, instead), 5, 2, 9, 17)


def test_no_bit_of_a_sum_is_too_many() -> None:
    """The negative control of the width: one bit less, and the longest sentence wraps."""
    out = ClassSum(Format(9, 0), 17).out.bits
    with pytest.raises(AssertionError, match="the sums of the sentences"):
        run(BUILD.resolve() / "class_sum_narrow", sources("class_sum"), 5, 2, 9, 17, OUT_BITS=out - 1)


def test_a_sentence_that_no_sum_is_wide_enough_for_is_refused() -> None:
    total = ClassSum(Format(4, 1), longest=3)
    assert total.out == Format(6, 1)
    assert total.run(np.array([[1, -8], [7, -8], [7, -8], [2, 3]]), [3, 1]).tolist() == [[15, -24], [2, 3]]
    assert total.classes(np.array([[1, 1], [-8, 7]]), [1, 1]).tolist() == [0, 1]  # of equals the lowest
    for length in (0, 4):
        with pytest.raises(GraphError, match=f"sentence 1 has {length} tokens: logits are added up over 1 to 3"):
            total.run(np.zeros((1 + length, 2), int), [1, length])
