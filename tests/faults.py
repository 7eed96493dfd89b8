"""One-line faults, each applied to a copy of the tree: the test that should notice must fail (``make faults``).

    python tests/faults.py [WORD ...] [--workers N]

``faults.toml`` has of each fault its file, what a line of it says, what the faulty one would, and the test, one that
``make test`` runs. WORDs choose the faults whose file or text contains one. Each worker has a copy, in which what was
built is kept from fault to fault.
"""

from __future__ import annotations

import argparse
import queue
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import copied_tree

LIST = Path(__file__).with_suffix(".toml")
FILES = (".py",), (".sv",), (".cpp", ".h")  # by language
#: pytest's own codes: every test passed, some failed; any other means that they did not run.
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Fault:
    file: str
    line: str  # what a line of the file says, or a part of one that is in no other
    fault: str
    test: str

    def apply(self, tree: Path) -> str:
        """The file's text with the fault in it; ValueError where the line is not there, or not alone."""
        text = (tree / self.file).read_text()
        if text.count(self.line) != 1 or "\n" in self.line + self.fault:
            raise ValueError(f"{self.file} has {text.count(self.line)} lines that say {self.line!r}, not one")
        return text.replace(self.line, self.fault)

    def __str__(self) -> str:
        return f"{self.file}: {self.line.strip()}  ->  {self.fault.strip()}"


def faults(words: Sequence[str] = ()) -> list[Fault]:
    """All faults, or those whose file or text contains a word."""
    listed = [Fault(**entry) for entry in tomllib.loads(LIST.read_text())["faults"]]
    return [fault for fault in listed if not words or any(word in f"{fault} {fault.test}" for word in words)]


@contextmanager
def copy() -> Iterator[Path]:
    """The tree as it is now."""
    with tempfile.TemporaryDirectory(prefix="spikegpt-faults-") as made:
        yield copied_tree.copy(Path(made))


def run(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's code, and the line that says what failed."""
    done = copied_tree.run(tree, ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests])
    said = [line for line in done.stdout.splitlines() if re.match(r"(FAILED|ERROR) \S+\.py", line)]
    return done.returncode, said[0] if said else (done.stdout + done.stderr).strip().rpartition("\n")[2]


def judge(fault: Fault, trees: queue.Queue[Path]) -> tuple[str, str]:
    """``judge_in`` a tree that no other worker has."""
    tree = trees.get()
    try:
        return judge_in(tree, fault)
    finally:
        trees.put(tree)


def judge_in(tree: Path, fault: Fault) -> tuple[str, str]:
    """``caught``, ``survived`` or ``error``, and what was said."""
    path = tree / fault.file
    try:
        faulty = fault.apply(tree)
    except (OSError, ValueError) as error:
        return "error", str(error)
    before = path.read_bytes()
    path.write_text(faulty)
    try:
        code, said = run(tree, [fault.test])
    finally:
        path.write_bytes(before)
    return {PASSED: "survived", FAILED: "caught"}.get(code, "error"), said


def main() -> int:
    parser = argparse.ArgumentParser(description="one-line faults, and whether the tests notice")
    parser.add_argument("words", nargs="*", help="only faults whose file or text contains one")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    chosen = faults(arguments.words)
    trees: queue.Queue[Path] = queue.Queue()
    with ExitStack() as kept:
        for _ in range(arguments.workers):
            trees.put(kept.enter_context(copy()))
        code, said = run(next(iter(trees.queue)), sorted({fault.test for fault in chosen}))
        if code != PASSED:
            print(f"error: the tests do not pass without a fault: {said}", file=sys.stderr)
            return 2
        with ThreadPoolExecutor(arguments.workers) as pool:
            verdicts = []
            for fault, (verdict, said) in zip(chosen, pool.map(partial(judge, trees=trees), chosen), strict=True):
                verdicts.append(verdict)
                print(f"{verdict:8} {fault}\n         {said[:160]}", flush=True)
    print(", ".join(f"{verdicts.count(name)} {name}" for name in ("caught", "survived", "error")), f"of {len(chosen)}")
    return int(verdicts.count("caught") != len(chosen))


if __name__ == "__main__":
    sys.exit(main())
