"""A step of the path is done again only when what it was asked for, or what it reads, has changed.

Each step leaves a stamp: the settings it ran with and the digests of its inputs. A setting that the user does not name
is as it was: ``cosim`` after ``train-qat --data FILE`` verifies that model, it does not train another one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """``outputs`` made from ``inputs`` under ``settings``; ``asked`` are the settings that the user named."""

    stamp: Path
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    defaults: Mapping[str, Any]
    asked: Mapping[str, Any]

    @property
    def recorded(self) -> dict[str, Any]:
        """The stamp of the last run; empty where there is none or it cannot be read."""
        try:
            found = json.loads(self.stamp.read_text())
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    @property
    def settings(self) -> dict[str, Any]:
        """What a run now would use: what was asked for, then what was used last, then the defaults."""
        before = self.recorded.get("settings", {})
        known = {name: before.get(name, value) for name, value in self.defaults.items()}
        return {**known, **self.asked}

    @property
    def up_to_date(self) -> bool:
        stamp = self.recorded
        return (
            # a setting that the stamp does not name was no choice then: it had its default
            {**self.defaults, **stamp.get("settings", {})} == self.settings
            and stamp.get("inputs") == digests(self.inputs)
            and all(path.exists() for path in self.outputs)
        )

    def done(self) -> None:
        """Record that the outputs are whole."""
        stamp = {"settings": self.settings, "inputs": digests(self.inputs)}
        write_json(self.stamp, stamp)


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file; of a folder, over the names and contents below it."""
    return {path.name: _digest(path) for path in paths}


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file() and file.suffix != ".pyc":
            total.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(data, indent=1) + "\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
