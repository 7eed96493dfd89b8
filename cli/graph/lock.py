"""One process at a time in a folder of results: the second one says who is at work, and waits."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

FILE = ".lock"
_held: dict[Path, int] = {}  # folders that this process holds, and how often


@contextmanager
def locked(folders: list[Path], say: Callable[[str], None]) -> Iterator[None]:
    """Hold ``folders``, taken in the order of their paths, so that no two processes wait for each other. A process that
    died holds nothing: the kernel lets go of its locks."""
    with ExitStack() as stack:
        for folder in sorted({folder.resolve() for folder in folders}):
            stack.enter_context(_one(folder, say))
        yield


@contextmanager
def _one(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    if folder in _held:
        _held[folder] += 1
        try:
            yield
        finally:
            _held[folder] -= 1
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / FILE, "a+") as file:
        _take(file, folder, say)
        _held[folder] = 1
        try:
            yield
        finally:
            del _held[folder]
            file.truncate(0)


def _take(file: IO[str], folder: Path, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting: {_holder(file)} is at work in {folder}")
        fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(0)
    command = " ".join(sys.argv[1:2]) or "python"
    file.write(json.dumps({"process": os.getpid(), "command": command, "since": time.strftime("%H:%M:%S")}))
    file.flush()


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        found = json.loads(file.read())
        return f"process {found['process']} ({found['command']}, since {found['since']})"
    except (ValueError, TypeError, KeyError):
        return "another process"
