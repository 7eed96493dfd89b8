"""A cache of what is made from texts by a tool: folders, named by the digest of all that went in.

A folder is filled under another name and takes its place by one rename once it is whole: whatever kills a build, the
next one finds nothing half made. Of every file it lists the SHA-256, and it is used only while each is what was put
there, belongs to this user and can be written by nobody else; else it is made again. Processes that want the same
folder wait for the first of them. Where all take more than ``LIMIT`` bytes, what was not used for longest goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from spikegpt_hls.host.errors import HostError

#: The environment variable that names another folder for the cache.
VARIABLE = "SPIKEGPT_HLS_CACHE"
LIMIT = 2 << 30
#: Seconds in which a folder that was used is not removed: whoever asked for it takes what it needs meanwhile.
IN_USE = 600
MANIFEST = "manifest.json"


def digest(*parts: str | bytes) -> str:
    """Names what is made of these parts: their SHA-256, each with its length, in hexadecimal digits."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(content) + content)
    return total.hexdigest()


def kept(key: str, make: Callable[[Path], object]) -> Path:
    """The folder that ``make`` filled for this ``key``, now or in an earlier run.

    What ``make`` raises is passed on, and nothing is kept. HostError where the cache belongs to, or can be written by,
    somebody else.
    """
    root = _root()
    place = root / key
    with contextlib.suppress(FileNotFoundError):
        os.utime(place)  # first of all: nobody removes what is in use
    if _is_whole(place):
        return place
    with _locked(root, key):
        if not _is_whole(place):
            _fill(place, make)
            _shrink(root)
    return place


def remembered(key: str, compute: Callable[[], Any]) -> Any:
    """What ``compute`` gave for this ``key``: anything that JSON can hold."""

    def make(folder: Path) -> None:
        (folder / "value.json").write_text(json.dumps(compute()))

    return json.loads((kept(key, make) / "value.json").read_text())


def bring(path: Path, target: Path) -> None:
    """Copy a file of the cache to ``target`` in one step: one that runs there meanwhile goes on."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copy(path, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _root() -> Path:
    root = Path(os.environ.get(VARIABLE) or user_cache_path("spikegpt-hls") / "builds").resolve()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HostError(f"the cache {root} cannot be made ({error.strerror}); {VARIABLE} names another") from error
    if not _is_ours(root):
        raise HostError(f"the cache {root} is not used, as others can write it; {VARIABLE} names another")
    return root


def _is_ours(path: Path) -> bool:
    """Whether a file or folder, and no link to one, is this user's and nobody else can write it."""
    found = path.lstat()
    mine = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return mine and (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))


def _is_whole(folder: Path) -> bool:
    manifest = folder / MANIFEST
    try:
        listed = json.loads(manifest.read_text()) if _is_ours(folder) and _is_ours(manifest) else None
        return isinstance(listed, dict) and all(
            _is_ours(folder / name) and sha256(folder / name) == digits for name, digits in listed.items()
        )
    except (OSError, ValueError):
        return False


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(place: Path, make: Callable[[Path], object]) -> None:
    for left in (place, *place.parent.glob(f"{place.name}.*.partial")):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: tools that a killed build has left running may still write into the last one.
    partial = Path(tempfile.mkdtemp(".partial", f"{place.name}.", place.parent))
    try:
        make(partial)
        files = [path for path in sorted(partial.rglob("*")) if path.is_file()]
        for path in files:
            path.chmod(path.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))
        listed = {str(path.relative_to(partial)): sha256(path) for path in files}
        (partial / MANIFEST).write_text(json.dumps(listed))
        (partial / MANIFEST).chmod(0o600)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(root: Path, key: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a key, which a process that ends gives back; BlockingIOError where it is held and ``wait`` is
    not wanted."""
    path = root / f"{key}.lock"
    while True:
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not _is_same(path, file.fileno()):
                continue  # who held it has removed the file
            try:
                yield
            finally:
                path.unlink()
            return


def _is_same(path: Path, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _shrink(root: Path) -> None:
    """Remove what killed builds left, and, down to the limit, what was not used for longest."""
    taken, now = 0, time.time()
    for used, path, size in sorted(_folders(root), reverse=True):
        taken += size
        stale = path.suffix == ".partial" or taken > LIMIT
        if stale and now - used > IN_USE:
            _remove(root, path, used)


def _remove(root: Path, path: Path, used: float) -> None:
    """A folder, unless somebody has used it meanwhile."""
    key = path.name.partition(".")[0]
    with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(root, key, wait=False):
        if path.stat().st_mtime == used:
            shutil.rmtree(path, ignore_errors=True)


def _folders(root: Path) -> Iterator[tuple[float, Path, int]]:
    """When each folder of the cache was last used, and its bytes."""
    for path in root.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process removes folders too
            if path.is_dir():
                yield path.stat().st_mtime, path, sum(file.stat().st_size for file in path.rglob("*"))
