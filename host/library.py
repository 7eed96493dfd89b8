"""Shared libraries of C++ sources, compiled by g++ at their first use and kept in the cache of builds."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from spikegpt_hls.host import builds, needs
from spikegpt_hls.host.errors import HostError

COMPILER = "g++"


def library(
    sources: Sequence[Path], flags: Sequence[str], others: Iterable[Path] = (), include: Sequence[Path] = ()
) -> ctypes.CDLL:
    """What the ``sources`` make with the ``others``, which they include or read, found also in the folders ``include``;
    HostError where they do not compile."""
    if missing := needs.missing_program([COMPILER]):
        raise HostError(missing)
    texts = [part for path in (*sources, *others) for part in (path.name, path.read_bytes())]
    key = builds.digest("library", *flags, _machine(flags), *texts)

    def make(folder: Path) -> None:
        found = [f"-I{path}" for path in include]
        _run(*flags, *found, "-shared", "-fPIC", *map(str, sources), "-o", str(folder / "library.so"))

    return ctypes.CDLL(str(builds.kept(key, make) / "library.so"))


def _machine(flags: Sequence[str]) -> str:
    """The macros that the compiler predefines: its version, and the instructions of the CPU that it compiles for."""
    return _run(*flags, "-dM", "-E", "-x", "c++", "/dev/null")


def _run(*arguments: str) -> str:
    done = subprocess.run([COMPILER, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise HostError(f"{COMPILER} stopped: {lines[0] if lines else 'without a word'}")
    return done.stdout
