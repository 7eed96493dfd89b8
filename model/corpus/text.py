"""Texts: any file, a named set that is downloaded once, or by default what every Python carries."""

from __future__ import annotations

import hashlib
import importlib
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from platformdirs import user_cache_path

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically

DEFAULT = "python"


@dataclass(frozen=True)
class Download:
    """A file on the web, its digest, and the members to join where it is a zip archive."""

    url: str
    sha256: str
    members: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[1]


DOWNLOADS = {
    "shakespeare": Download(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "enwik8": Download(
        "https://mattmahoney.net/dc/enwik8.zip",
        "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
        ("enwik8",),
    ),
    "text8": Download(
        "https://mattmahoney.net/dc/text8.zip",
        "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        ("text8",),
    ),
    "wikitext2": Download(
        "https://wikitext.smerity.com/wikitext-2-raw-v1.zip",
        "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11",
        tuple(f"wikitext-2-raw/wiki.{part}.raw" for part in ("train", "valid", "test")),
    ),
}


@dataclass(frozen=True)
class Text:
    """A text that is read in chunks, as often as needed; it may be larger than memory."""

    name: str
    parts: Callable[[], Iterator[BinaryIO]]

    def chunks(self, size: int = 1 << 20) -> Iterator[bytes]:
        for part in self.parts():
            with part:
                while chunk := part.read(size):
                    yield chunk

    @property
    def bytes(self) -> int:
        return self._read[0]

    @property
    def sha256(self) -> str:
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[int, str]:
        size, total = 0, hashlib.sha256()
        for chunk in self.chunks():
            size += len(chunk)
            total.update(chunk)
        return size, total.hexdigest()


def find(data: str = DEFAULT, cache: Path | None = None) -> Text:
    """The text called ``data``: ``python``, a named set, or the path of any file; ModelError where there is none."""
    if data == DEFAULT:
        return Text(data, lambda: iter([BytesIO(python_reference())]))
    if data in DOWNLOADS:
        content, members = _cached(data, cache or user_cache_path("spikegpt-hls")), DOWNLOADS[data].members
        return Text(data, lambda: _unpack(content, members) if members else iter([BytesIO(content)]))
    path = Path(data).expanduser()
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        names = ", ".join((DEFAULT, *DOWNLOADS))
        raise ModelError(f"cannot read the text {data}: {error.strerror}; a named set is one of {names}") from error
    if empty:
        raise ModelError(f"the text {data} is empty")
    return Text(data, lambda: iter([path.open("rb")]))


def python_reference() -> bytes:
    """The language reference of the running Python (``pydoc_data.topics``), topics in alphabetical order."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n".join(topics[name] for name in sorted(topics)).encode()


def digest(content: bytes) -> str:
    """SHA-256, as hex."""
    return hashlib.sha256(content).hexdigest()


def _cached(name: str, cache: Path) -> bytes:
    source = DOWNLOADS[name]
    path = cache / name / source.file
    if path.is_file():
        kept = path.read_bytes()
        if digest(kept) == source.sha256:
            return kept
        raise ModelError(f"{path} is not the {name} that was expected (SHA-256 differs): remove or replace it")
    try:
        with urllib.request.urlopen(source.url, timeout=30) as response:
            content: bytes = response.read()
    except (OSError, HTTPException) as error:
        raise ModelError(f"cannot download {name}: fetch {source.url} yourself and put it at {path}") from error
    if digest(content) != source.sha256:
        raise ModelError(f"what {source.url} sent is not the {name} that was expected (SHA-256 differs)")
    write_atomically(path, content)
    return content


def _unpack(content: bytes, members: tuple[str, ...]) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        for member in members:
            yield cast(BinaryIO, archive.open(member))
