"""The greedy pick: NumPy's argmax of every packet of logits, ties to the lowest index, whoever stalls."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, drive, start, until, watch

ROWS = 80


def rows(vocabulary: int, bits: int, seed: int) -> np.ndarray:
    """Logits over the whole range, rows of few values (ties), rows of one value, all at the lowest or highest."""
    rng = np.random.default_rng(seed)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    values = rng.integers(low, high, (ROWS, vocabulary), endpoint=True)
    values[::3] = rng.choice([low, high, 0, -1], values[::3].shape)
    values[::7] = rng.choice([low, high, 0, -1], (len(values[::7]), 1))
    return values


@cocotb.test()
@cocotb.parametrize(seed=range(4))
async def picks(dut: Any, seed: int) -> None:
    vocabulary, lanes, bits = (int(getattr(dut, name).value) for name in ("VOCABULARY", "LANES", "BITS"))
    idle, stall = ((0, 0), (0.5, 0), (0, 0.7), (0.4, 0.4))[seed % 4]
    values = rows(vocabulary, bits, seed)
    behind = np.full(-vocabulary % lanes, (1 << bits - 1) - 1)  # what must never win
    marks = np.random.default_rng(seed + 1).integers(0, 8, ROWS).tolist()
    beats = [
        {"tdata": word, "tlast": int(last), "tuser": mark if last else 7 - mark}
        for row, mark in zip(values, marks, strict=True)
        for words in [pack(np.append(row, behind).reshape(-1, lanes), bits).words]
        for word, last in zip(words, [*[False] * (len(words) - 1), True], strict=True)
    ]
    got: list[dict[str, int]] = []
    await start(dut, s_axis_tvalid=0)
    cocotb.start_soon(watch(dut, "m_axis", "tdata tuser", stall, seed, got))
    cocotb.start_soon(drive(dut, "s_axis", beats, idle, seed))
    await until(dut, lambda: len(got) >= ROWS)
    await ClockCycles(dut.clk, 20)
    due = [{"tdata": int(row.argmax()), "tuser": mark} for row, mark in zip(values, marks, strict=True)]
    for number, (have, want) in enumerate(zip(got, due, strict=True)):
        assert have == want, f"row {number}: {have}, not {want}"


def run(folder: Path, files: list[Path], vocabulary: int, lanes: int, bits: int) -> None:
    shape = {"VOCABULARY": vocabulary, "LANES": lanes, "BITS": bits, "USER_BITS": 3}
    simulator.build(files, "pick", folder, shape)
    simulator.run("pick", __name__, folder, {})


@pytest.mark.parametrize(("vocabulary", "lanes", "bits"), [(16, 1, 6), (30, 5, 20), (32, 8, 9), (65, 8, 9), (7, 4, 6)])
def test_picks_what_numpy_picks(vocabulary: int, lanes: int, bits: int) -> None:
    run(BUILD.resolve() / f"pick_{vocabulary}_{lanes}_{bits}", sources("pick"), vocabulary, lanes, bits)


@pytest.mark.parametrize(
    ("whole", "instead"),
    [("winner > best_q", "winner >= best_q"), ("started_q <= !last", "started_q <= 1'b1"), ("$signed", "$unsigned")],
)
def test_a_pick_that_errs_is_noticed(whole: str, instead: str) -> None:
    """The negative control: the last of equals, a best that outlives its row, unsigned logits."""
    with pytest.raises(AssertionError, match="row"):
        run(*broken("pick", whole, instead), 32, 4, 9)
