"""A text as one memory-mapped file of token ids, made once per text and tokenizer. Loads no torch.

``tokens/<text>-<tokenizer>.bin`` holds the ids, little-endian and as narrow as the vocabulary allows; the ``.json``
beside it, written last, says what they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from spikegpt_hls.model.corpus import tokenizer as tokenizers
from spikegpt_hls.model.corpus.text import Text
from spikegpt_hls.model.corpus.tokenizer import ByteTokenizer, CharacterTokenizer, Ids, Tokenizer
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import replacing_file, write_atomically

FOLDER = "tokens"
BYTES, CHARACTERS = "bytes", "characters"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """The ids (N,) of a text, mapped from disk, and what made them."""

    ids: Ids
    tokenizer: Tokenizer
    text: Text

    def split(self, context: int) -> tuple[Ids, Ids]:
        """First 90 % to train, last 10 % held out; each must hold ``context`` + 1 tokens."""
        cut = len(self.ids) * 9 // 10
        if len(self.ids) - cut < context + 1:
            raise ModelError(too_short(f"{len(self.ids)} {self.tokenizer.unit}s", context))
        return self.ids[:cut], self.ids[cut:]


def too_short(size: str, context: int) -> str:
    return f"the text has {size}, a context of {context} needs {smallest(context)} or more"


def smallest(context: int) -> int:
    """Tokens of the shortest text whose last tenth holds a window."""
    return 10 * (context + 1) - 9


def prepare(text: Text, tokenizer: Tokenizer, folder: Path, console: Console | None = None) -> Corpus:
    """The tokens of ``text``, made where ``folder`` lacks them."""
    path = folder / FOLDER / f"{text.sha256[:16]}-{tokenizer.sha256[:16]}.bin"
    if not _agrees(path, text, tokenizer):
        _write(path, text, tokenizer, console or Console(stderr=True))
    return Corpus(np.memmap(path, tokenizer.dtype, "r"), tokenizer, text)


def choose(tokenizer: str, text: Text) -> Tokenizer:
    """The tokenizer called ``bytes``, ``characters`` (those of ``text``), or by the path of its file."""
    if tokenizer == BYTES:
        return ByteTokenizer()
    if tokenizer == CHARACTERS:
        return CharacterTokenizer.of_text(text.chunks(CHUNK))
    if not Path(tokenizer).expanduser().is_file():
        raise ModelError(f"unknown tokenizer {tokenizer!r}: choose {BYTES}, {CHARACTERS}, or the path of a JSON file")
    return tokenizers.load(Path(tokenizer).expanduser())


def _description(text: Text, tokenizer: Tokenizer, count: int) -> dict[str, object]:
    return {
        "text_sha256": text.sha256,
        "tokenizer_sha256": tokenizer.sha256,
        "dtype": np.dtype(tokenizer.dtype).name,
        "count": count,
    }


def _agrees(path: Path, text: Text, tokenizer: Tokenizer) -> bool:
    """Whether ``path`` holds these tokens, whole."""
    try:
        found = json.loads(path.with_suffix(".json").read_text())
        count = path.stat().st_size // np.dtype(tokenizer.dtype).itemsize
    except (OSError, ValueError):
        return False
    return bool(found == _description(text, tokenizer, count))


def _write(path: Path, text: Text, tokenizer: Tokenizer, console: Console) -> None:
    count = 0
    with Progress(console=console, transient=True) as progress, replacing_file(path) as file:
        task = progress.add_task(f"reading {text.name} as {tokenizer.unit}s", total=text.bytes)

        def chunks() -> Iterator[bytes]:
            for chunk in text.chunks(CHUNK):
                yield chunk
                progress.advance(task, len(chunk))

        for ids in tokenizer.encode_stream(chunks()):
            file.write(np.ascontiguousarray(ids, tokenizer.dtype).data)
            count += len(ids)
        if not count:
            raise ModelError(f"the text {text.name} has no tokens")
    content = json.dumps(_description(text, tokenizer, count), indent=1) + "\n"
    write_atomically(path.with_suffix(".json"), content.encode())
