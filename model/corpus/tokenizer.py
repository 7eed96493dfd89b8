"""Tokenizers: bytes, the characters of a text, and Hugging Face ``tokenizers`` files. Loads no torch.

A text may be larger than memory, so both directions are streams: chunks of bytes become arrays of ids, wherever the
chunks end; and ids become text as soon as a whole character is there.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Subwords

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically

Ids = NDArray[np.integer]
FILE = "tokenizer.json"
HEADER = "tokenizer"  # the key of a checkpoint's header that holds its tokenizer's content
LONGEST_CHARACTER = 4  # bytes of UTF-8, and so tokens of a character at most


class Tokenizer(ABC):
    """Text to ids below ``vocabulary`` and back; ``content`` is the file that brings it back."""

    unit: ClassVar[str]  # what one id stands for
    vocabulary: int
    content: bytes

    @abstractmethod
    def encode_stream(self, chunks: Iterable[bytes]) -> Iterator[Ids]:
        """The ids of a text that comes in chunks; ModelError where it cannot be encoded."""

    @abstractmethod
    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids as they come; bytes that are no UTF-8 become U+FFFD."""

    def encode(self, text: bytes) -> Ids:
        return np.concatenate([np.zeros(0, self.dtype), *self.encode_stream([text])])

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.decode_stream(ids))

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """The narrowest type that holds every id."""
        return next(t for t in (np.uint8, np.uint16, np.uint32) if self.vocabulary - 1 <= np.iinfo(t).max)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class ByteTokenizer(Tokenizer):
    """Every byte is its own id, so any file is a text."""

    unit = "byte"
    vocabulary = 256
    content = b'{"bytes": 256}\n'

    def encode_stream(self, chunks: Iterable[bytes]) -> Iterator[Ids]:
        return (np.frombuffer(chunk, np.uint8) for chunk in chunks)

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        return codecs.iterdecode((bytes([token]) for token in ids), "utf-8", errors="replace")


class CharacterTokenizer(Tokenizer):
    """Ids are places in ``characters``, which are sorted."""

    unit = "character"

    def __init__(self, characters: str) -> None:
        self.characters, self.vocabulary = characters, len(characters)
        self.content = (json.dumps({"characters": characters}) + "\n").encode()
        self.places = np.full(0x110000, -1, np.int32)
        self.places[_code_points(characters)] = np.arange(len(characters))

    @classmethod
    def of_text(cls, chunks: Iterable[bytes]) -> CharacterTokenizer:
        """The characters that occur."""
        seen = np.zeros(0x110000, bool)
        for text in utf8(chunks):
            seen[_code_points(text)] = True
        return cls("".join(map(chr, np.flatnonzero(seen))))

    def encode_stream(self, chunks: Iterable[bytes]) -> Iterator[Ids]:
        for text in utf8(chunks):
            ids = self.places[_code_points(text)]
            if ids.size and ids.min() < 0:
                unknown = text[int(ids.argmin())]
                raise ModelError(f"{unknown!r} is none of the {self.vocabulary} characters that the network knows")
            yield ids.astype(self.dtype)

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        return (self.characters[token] for token in ids)


class SubwordTokenizer(Tokenizer):
    """A tokenizer of the ``tokenizers`` library, from its JSON."""

    unit = "token"

    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        try:
            self.subwords = Subwords.from_str(content.decode())
        except Exception as error:  # the library raises nothing narrower
            raise ModelError(f"{name} is no Hugging Face tokenizers file ({error})") from error
        self.subwords.no_truncation()
        self.subwords.no_padding()
        self.vocabulary = max(self.subwords.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        if self.vocabulary < 1:
            raise ModelError(f"{name} has an empty vocabulary")

    def encode_stream(self, chunks: Iterable[bytes]) -> Iterator[Ids]:
        """Behind the first part each has a word in front of it, whose tokens are left out: many tokenizers put a space
        in front of a text, and do not in the middle of one."""
        first = True
        for text in whole_words(utf8(chunks)):
            before = "" if first or not text[0].isspace() else WORD
            found = self.subwords.encode(before + text, add_special_tokens=False)
            ids = [token for token, (_, end) in zip(found.ids, found.offsets, strict=True) if end > len(before)]
            yield np.array(ids if before else found.ids, self.dtype)
            first = False

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """A token may hold part of a character, and a decoder may look at the token before."""
        before: list[int] = []
        waiting: list[int] = []
        for token in ids:
            waiting.append(token)
            text = self._text_after(before, waiting)
            if not text.endswith("\ufffd") or len(waiting) == LONGEST_CHARACTER:
                yield text
                before, waiting = waiting, []
        if waiting:
            yield self._text_after(before, waiting)

    def _text_after(self, before: list[int], ids: list[int]) -> str:
        known = self.subwords.decode(before, skip_special_tokens=False)
        return self.subwords.decode(before + ids, skip_special_tokens=False)[len(known) :]  # type: ignore[no-any-return]


def load(path: Path) -> Tokenizer:
    """The tokenizer in a file; ModelError says what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    return of_content(content, str(path))


def of_content(content: bytes, name: str) -> Tokenizer:
    """The tokenizer that ``content`` brings back; ModelError, in which it is called ``name``, says what is wrong."""
    try:
        described = json.loads(content)
    except ValueError as error:
        raise ModelError(f"the tokenizer {name} is no JSON ({error})") from error
    if content == ByteTokenizer.content:
        return ByteTokenizer()
    if isinstance(described, dict) and isinstance(described.get("characters"), str) and described["characters"]:
        return CharacterTokenizer(described["characters"])
    return SubwordTokenizer(content, name)


def beside(checkpoint: Path, header: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that a checkpoint was trained with: the one in its header; else the one beside it, which must be
    the one that the header names, where it names one; else bytes."""
    if isinstance(kept := header.get(HEADER), str):
        return of_content(kept.encode(), f"in {checkpoint.name}")
    path = checkpoint.with_name(FILE)
    expected = header.get("tokenizer_sha256")
    if expected == ByteTokenizer().sha256 or (expected is None and not path.exists()):
        return ByteTokenizer()
    tokenizer = load(path)
    if expected not in (None, tokenizer.sha256):
        raise ModelError(f"{path} is not the tokenizer that {checkpoint.name} was trained with")
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    write_atomically(folder / FILE, tokenizer.content)


def utf8(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole characters; ModelError names the first byte that is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    for chunk in chain(chunks, (None,)):
        start = read - len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk or b"", final=chunk is None)
        except UnicodeDecodeError as error:
            raise ModelError(
                f"the text is not UTF-8 at byte {start + error.start}: convert it, or use the tokenizer bytes"
            ) from error
        read += len(chunk or b"")
        if text:
            yield text


def whole_words(texts: Iterable[str]) -> Iterator[str]:
    """The same text cut only before a space, where no subword of the usual tokenizers goes on.

    Where there is none for long, it is cut before other white space, or anywhere: better than a text that never ends.
    """
    rest = ""
    for text in texts:
        rest += text
        ends = re.search(r"(?s:.*)\S(?= )", rest)
        if ends is None and len(rest) > LONGEST_WORD:
            ends = re.search(r"(?s:.*)\S(?=\s)", rest)
        if ends:
            yield ends[0]
            rest = rest[ends.end() :]
        elif len(rest) > LONGEST_WORD:
            yield rest
            rest = ""
    if rest:
        yield rest


LONGEST_WORD = 1 << 20
WORD = "a"  # stands in front of a part that is not the first


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
