"""Mutants, their replay, and coverage: a sample in one shape of the LIF."""

from pathlib import Path

import pytest

from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.mutants import coverage, mutate, replay
from spikegpt_hls.rtl_tests.mutants.cases import Design, cases


def test_the_bench_catches_mutants_that_are_not_equivalent(tmp_path: Path) -> None:
    """The design itself passes the replay (``judge`` says so), and no verdict on a mutant is left open."""
    case = cases("lif")[0]
    verdicts = mutate.judge(Design.of(case.block), [replay.play(case)], 12, 1, tmp_path / "lif")
    mutate.settle(verdicts, tmp_path / "lif")
    assert {verdict["reason"] for verdict in verdicts if verdict["caught"] is None} <= {"equivalent"}
    assert sum(verdict["caught"] is not None for verdict in verdicts) >= 6


@pytest.mark.parametrize("name", ["ring", "read_master", slow("row_engine")])
def test_what_is_no_block_passes_its_own_replay_and_mutants_do_not(name: str, tmp_path: Path) -> None:
    """``judge`` says whether the design itself fails."""
    design, plays = mutate.shapes(name, 8)[0]
    verdicts = mutate.judge(design, [play() for play in plays], 12, 1, tmp_path / name)
    assert sum(verdict["caught"] is not None for verdict in verdicts) >= 6


def test_a_run_covers_every_line_of_a_block(tmp_path: Path) -> None:
    counts = coverage.measure(cases("lif")[1], tmp_path / "lif")  # tokens of several beats
    lines = {point: count for point, count in counts.items() if point[0] == "line"}
    assert {file for _, file, _, _ in lines} >= {"lif.sv", "stream_pipe.sv", "fifo.sv"}
    assert not [point for point, count in lines.items() if not count]


def test_a_run_that_is_cut_short_leaves_gaps(tmp_path: Path) -> None:
    case = cases("lif")[0]
    short = type(case)(case.block, [case.streams[0][:1]], (1,), "flowing")
    assert not all(coverage.measure(short, tmp_path / "lif").values())


def test_exclusions_name_their_block_and_points() -> None:
    entry = {"file": "lif.sv", "points": r"toggle x\[\d\].*"}
    assert coverage.excluded(("toggle", "lif.sv", 3, "x[7]:0->1"), [entry])
    assert not coverage.excluded(("toggle", "lif.sv", 3, "x[17]:0->1"), [entry])
    assert not coverage.excluded(("line", "lif.sv", 3, "x[7]:0->1"), [entry])
