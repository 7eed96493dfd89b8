"""Folders whose paths every tool can take: makefiles and shell scripts of others end a path at a blank or a quote."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikegpt_hls.host.errors import HostError

PLAIN = re.compile(r"[\w.+=/-]+", re.ASCII)


@contextmanager
def plain_folder(near: Path) -> Iterator[Path]:
    """An empty folder for the time of a build: in ``near``, or where that has no plain path among temporary files."""
    for place in (str(near), tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if PLAIN.fullmatch(place) and os.access(place, os.W_OK):
            with tempfile.TemporaryDirectory(prefix="spikegpt-hls-", dir=place) as folder:
                yield Path(folder)
            return
    raise HostError("no folder for temporary files has a path of plain letters; TMPDIR names another")
