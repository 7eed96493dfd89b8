"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from spikegpt_hls.model.errors import ModelError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step; what was there stays where the disk is full or read-only."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the write's own error is the one to report
            partial.unlink(missing_ok=True)
        raise ModelError(f"cannot write {path}: {error.strerror}") from error
