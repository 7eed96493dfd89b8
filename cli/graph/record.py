"""What a step leaves behind: the settings it ran with, and the digests of all that went in and came out.

``stamps/<step>.json`` is of the last run that finished, ``stamps/<step>.started.json`` of one that did not (yet).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from spikegpt_hls.cli.errors import WorkspaceError
from spikegpt_hls.host.builds import sha256

VERSION = 1
MISSING = "missing"
PARTS = ("settings", "inputs", "sources", "outside")


@dataclass(frozen=True)
class Record:
    """Digests by name. ``outputs`` is None in a record of the version before, which kept none."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)  # files that the user named
    outputs: Mapping[str, str] | None = None
    version: int = VERSION

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read(path: Path) -> Record | None:
    """None where there is no record or a damaged one; WorkspaceError where a later version wrote it."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        return None
    version = found.get("version", 0)
    if version == 0:  # settings and the digests of inputs by file name, the user's files among them
        return _of_version_0(found)
    if version != VERSION:
        raise WorkspaceError(f"{path} is of version {version}, and only {VERSION} is known: name another build= folder")
    parts: dict[str, dict[str, Any]] = {name: found.get(name, {}) for name in PARTS}
    outputs = found.get("outputs")  # None of a run that is under way
    if not all(isinstance(part, dict) for part in (*parts.values(), {} if outputs is None else outputs)):
        return None
    return Record(**parts, outputs=outputs)  # type: ignore[arg-type]


def _of_version_0(found: dict[str, Any]) -> Record:
    settings = dict(found["settings"])
    outside = {name: settings.pop(name) for name in ("text_sha256", "tokenizer_sha256") if name in settings}
    inputs = found.get("inputs")
    return Record(settings, inputs if isinstance(inputs, dict) else {}, {}, outside, None, 0)


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Of each file below ``folder``; of a folder, of each file in it; ``missing`` where there is none."""
    found: dict[str, str] = {}
    for name in names:
        path = folder / name
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
        found |= {str(file.relative_to(folder)): of_file(file) for file in files if _counts(file)}
    return found


def unlike(folder: Path, recorded: Mapping[str, str]) -> list[str]:
    """The recorded files that are no longer what they were. What else lies there is nobody's business."""
    return [name for name, digest in recorded.items() if of_file(folder / name) != digest]


def of_file(path: Path) -> str:
    """SHA-256 of its content."""
    try:
        status = path.stat()
    except OSError:
        return MISSING
    return _of_content(path, status.st_mtime_ns, status.st_size, status.st_ino) if path.is_file() else MISSING


def of_folder(path: Path) -> str:
    """Over the names and contents of all files below a folder, or of one file."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and _counts(file):
            total.update(f"{file.relative_to(path)}\0{of_file(file)}".encode())
    return total.hexdigest()


def _counts(file: Path) -> bool:
    return file.suffix != ".pyc"


@lru_cache(4096)
def _of_content(path: Path, *_: int) -> str:
    return sha256(path)


def write_json(path: Path, data: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(data, indent=1) + "\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
