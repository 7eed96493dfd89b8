"""Line and toggle coverage of every block under the runs of its bench, by Verilator; and which situations its streams
were in, by cocotb-coverage (``functional.py``).

    python -m spikegpt_hls.rtl_tests.mutants.coverage [BLOCK ...] [--folder FOLDER]

A point is covered where any instance in any shape of the bench covers it. ``coverage.toml`` lists what is left out,
with the reasons.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spikegpt_hls.hls.rtl.blocks import EVENT_LINEAR, MODULES
from spikegpt_hls.rtl_tests import bench, simulator
from spikegpt_hls.rtl_tests.cells import functional, stream_fork
from spikegpt_hls.rtl_tests.linears import engine
from spikegpt_hls.rtl_tests.mutants import replay
from spikegpt_hls.rtl_tests.mutants.cases import Case, Design, cases

BLOCKS = (*MODULES.values(), EVENT_LINEAR, "engine")
OPTIONS = "--coverage-line", "--coverage-toggle"
EXCLUSIONS = Path(__file__).parent / "coverage.toml"

Point = tuple[str, str, int, str]  # line or toggle, file, line, what
Points = dict[Point, int]


def measure(case: Case, folder: Path) -> Points:
    """Counts of all points of a case's design under its runs."""
    design, play = Design.of(case.block), replay.play(case)
    design.write(folder)
    (folder / "replay.sv").write_text(replay.stimuli(play, folder, str(design)))
    replay.build(folder, [*design.sources], *OPTIONS)
    ((_, failed, _),) = replay.judge(folder, 0, 0, play.runs, 10**7)
    assert failed == -1, f"the design fails the replay in {folder}"
    return counts(folder)


def measure_fork(shape: tuple[int, int, int], folder: Path) -> Points:
    """The same of the fork, whose bench has its own runs."""
    shutil.rmtree(folder, ignore_errors=True)
    stream_fork.run(folder, *shape, OPTIONS)
    return counts(folder)


def measure_engine(number: int, folder: Path) -> Points:
    """The same of an engine with its members, of whose wires the bench's own top is made."""
    shutil.rmtree(folder, ignore_errors=True)
    engine.run_case(folder, number, build=partial(simulator.build, options=OPTIONS))
    return {point: count for point, count in counts(folder).items() if point[1] != "top.sv"}


def counts(folder: Path) -> Points:
    """The sums over all runs in a folder."""
    total: Points = {}
    for data in folder.glob("coverage_*.dat"):
        for point, count in parse(data.read_text(errors="replace")):
            total[point] = total.get(point, 0) + count
    return total


def parse(text: str) -> Iterable[tuple[Point, int]]:
    """The points of one of Verilator's files: of line coverage (blocks and branches) and of toggle coverage."""
    for fields, count in re.findall(r"^C '(.*)' (\d+)$", text, re.MULTILINE):
        found = dict(re.findall(r"\x01([^\x02]*)\x02([^\x01]*)", fields))
        page = found.get("page", "")
        kind = "toggle" if page.startswith("v_toggle") else "line"
        file = Path(found.get("f", "")).name
        if file != "replay.sv":
            yield (kind, file, int(found["l"]), found.get("o", "")), int(count)


def situations(found: Sequence[Case], folder: Path, name: str) -> dict[str, int]:
    """Hits of every bin over the cocotb runs of a bench's cases; the merged file is ``<block>.yml``."""
    files = [folder / f"{name}_{index}.yml" for index in range(len(found))]
    for case, file in zip(found, files, strict=True):
        os.environ[functional.FILE] = str(file)
        bench.check(case.block, case.streams, case.lengths, test=case.test)
    del os.environ[functional.FILE]
    points = functional.merged(files, folder / f"{name}.yml")
    hits = {f"{point}: {which}": hits for point, bins in points.items() for which, hits in bins.items()}
    return {which: count for which, count in hits.items() if count or not impossible(which)}


def impossible(which: str) -> bool:
    """Whether ``coverage.toml`` says that a bin cannot be hit."""
    return any(re.fullmatch(entry["bins"], which) for entry in tomllib.loads(EXCLUSIONS.read_text())["impossible"])


def exclusions(block: str) -> list[Mapping[str, str]]:
    """The entries of ``coverage.toml`` for a block: ``file``, ``points`` (a regular expression), ``reason``."""
    entries: list[dict[str, str]] = tomllib.loads(EXCLUSIONS.read_text())["exclude"]
    return [entry for entry in entries if entry.get("block", block) == block]


def excluded(point: Point, entries: Iterable[Mapping[str, str]]) -> bool:
    kind, file, _, what = point
    return any(file == entry["file"] and re.fullmatch(entry["points"], f"{kind} {what}") for entry in entries)


def run(name: str, folder: Path) -> dict[str, Any]:
    """Both shares of a block, and the points that are missed."""
    total: Points = {}
    found: list[Callable[[Path], Points]]
    if name == MODULES["Fork"]:
        found = [partial(measure_fork, shape) for shape in stream_fork.SHAPES]
    elif name == "engine":
        found = [partial(measure_engine, number) for number in range(len(engine.CASES))]
    else:
        found = [partial(measure, case) for case in cases(name)]
    for index, measured in enumerate(found):
        for point, count in measured(folder / f"{name}_{index}").items():
            total[point] = total.get(point, 0) + count
        print(f"{name}: case {index + 1} of {len(found)}", flush=True)
    entries = exclusions(name)
    kept = {point: count for point, count in total.items() if not excluded(point, entries)}
    result: dict[str, Any] = {"block": name, "cases": len(found), "excluded": len(total) - len(kept)}
    for kind in ("line", "toggle"):
        counts = [count for (which, *_), count in kept.items() if which == kind]
        result[kind] = sum(map(bool, counts)) / len(counts) if counts else 1.0
        result[f"{kind}s"] = len(counts)
    result["missed"] = [list(point) for point, count in sorted(kept.items()) if not count]
    if name in MODULES.values() and name != MODULES["Fork"]:  # the others have benches of their own
        result["situations"] = situations(cases(name), folder, name)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="line and toggle coverage of blocks under their benches")
    parser.add_argument("blocks", nargs="*", help="all by default")
    parser.add_argument("--folder", type=Path, default=Path("build/coverage"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for name in arguments.blocks or BLOCKS:
        results.append(run(name, folder))
        (folder / f"{name}.json").write_text(json.dumps(results[-1], indent=1))
    heads = f"{'block':14} {'cases':>5} {'lines':>6} {'covered':>8} {'toggles':>8} {'covered':>8} {'left out':>9}"
    print(f"{heads} {'bins':>5} {'hit':>4}")
    for result in results:
        hits = [bool(count) for count in result.get("situations", {}).values()]
        print(
            f"{result['block']:14} {result['cases']:5} {result['lines']:6} {result['line']:8.1%} "
            f"{result['toggles']:8} {result['toggle']:8.1%} {result['excluded']:9} {len(hits):5} {sum(hits):4}"
        )
        for which, count in result.get("situations", {}).items():
            if not count:
                print(f"    never: {which}")
    return int(any(min(result["line"], result["toggle"]) < 0.95 for result in results))


if __name__ == "__main__":
    sys.exit(main())
