"""The sentence classification tasks of the SpikeGPT paper (arXiv 2302.13939): MR, Subj, SST-2 and SST-5.

A file holds one sentence per line: the label, a space, the words with spaces between (the preparation of Kim 2014). SST
comes as sentences to train, develop and test on. MR and Subj come as one file: a permutation of seed 0 deals the lines
into ten parts, of which ``fold`` is the test, the next one develops and the other eight train, so that ``fold`` 0 to 9
is a ten-fold cross validation and one fold a reproducible tenth.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Subwords
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordLevelTrainer

from spikegpt_hls.model.corpus.tokenizer import SubwordTokenizer, Tokenizer
from spikegpt_hls.model.errors import ModelError

FOLDS = 10
UNKNOWN = "<unk>"
RARE = 2  # words that occur less often are unknown
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # UTF-16 is full of them, a sentence has none


@dataclass(frozen=True)
class Task:
    """``files`` are one to be split, or the train, dev and test sets."""

    classes: int
    encoding: str
    files: tuple[str, ...]


TASKS = {
    "mr": Task(2, "latin-1", ("rt-polarity.all",)),
    "subj": Task(2, "latin-1", ("subj.all",)),
    "sst2": Task(2, "utf-8", tuple(f"stsa.binary.{part}" for part in ("train", "dev", "test"))),
    "sst5": Task(5, "utf-8", tuple(f"stsa.fine.{part}" for part in ("train", "dev", "test"))),
}


@dataclass(frozen=True)
class Examples:
    """Sentences and their labels, one to one."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: list[int]) -> Examples:
        return Examples(tuple(self.texts[row] for row in rows), tuple(self.labels[row] for row in rows))


@dataclass(frozen=True)
class Corpus:
    """What a task trains on, is developed on and is tested on, how that was divided, and the digest of its files."""

    train: Examples
    dev: Examples
    test: Examples
    classes: int
    sha256: str
    protocol: str

    @property
    def parts(self) -> dict[str, Examples]:
        return {"train": self.train, "dev": self.dev, "test": self.test}


def word_tokenizer(texts: Iterable[str]) -> SubwordTokenizer:
    """The words of ``texts`` between spaces; id 0 stands for rare and new ones."""
    words = Subwords(WordLevel({UNKNOWN: 0}, UNKNOWN))
    words.pre_tokenizer = WhitespaceSplit()
    trainer = WordLevelTrainer(min_frequency=RARE, special_tokens=[UNKNOWN], show_progress=False, vocab_size=1 << 20)
    words.train_from_iterator(texts, trainer)
    return SubwordTokenizer(words.to_str().encode(), "the words")


def encoded(examples: Examples, tokenizer: Tokenizer) -> list[NDArray[np.int64]]:
    """The token ids of every sentence; ModelError for one that has none."""
    found = [tokenizer.encode(text.encode()).astype(np.int64) for text in examples.texts]
    for text, ids in zip(examples.texts, found, strict=True):
        if not len(ids):
            raise ModelError(f"the tokenizer makes no token of the sentence {text[:40]!r}: it cannot be classified")
    return found


def task(name: str) -> Task:
    """The task called ``name``; ModelError lists the known ones."""
    if name not in TASKS:
        raise ModelError(f"unknown task {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]


def load(name: str, data: str | Path, fold: int = 0) -> Corpus:
    """The corpus of a task from the folder ``data`` with its files; ``data`` may be the file of MR or Subj itself."""
    chosen, files = task(name), paths(name, data)
    contents = [_content(path, name) for path in files]
    digest = hashlib.sha256(b"\0".join(contents)).hexdigest()
    parts = [parse(content, path.name, chosen) for content, path in zip(contents, files, strict=True)]
    protocol = f"the sentences of {', '.join(chosen.files)}"
    if len(parts) == 1:
        protocol = f"fold {fold} of {FOLDS}, dealt by a permutation of seed 0; the next fold is dev, the others train"
        parts = _dealt(parts[0], files[0].name, fold)
    elif fold:
        raise ModelError(f"{name} has a test set of its own: fold is for tasks of one file")
    return Corpus(parts[0], parts[1], parts[2], chosen.classes, digest, protocol)


def paths(name: str, data: str | Path) -> list[Path]:
    """The files that a task reads."""
    files, place = task(name).files, Path(data).expanduser()
    return [place] if len(files) == 1 and place.is_file() else [place / file for file in files]


def _content(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        files = ", ".join(TASKS[name].files)
        raise ModelError(f"cannot read {path}: {error.strerror}; data= is the folder that holds {files}") from error


def parse(content: bytes, file: str, chosen: Task) -> Examples:
    """The lines of a file; ModelError names the first that is no label and sentence in the task's encoding."""
    lines = content.removesuffix(b"\n").split(b"\n")  # not splitlines: Latin-1 has the line separator NEL in a sentence
    rows = [_parsed(line.removesuffix(b"\r"), f"line {at} of {file}", chosen) for at, line in enumerate(lines, 1)]
    return Examples(tuple(text for _, text in rows), tuple(label for label, _ in rows))


def _parsed(line: bytes, where: str, chosen: Task) -> tuple[int, str]:
    if not line.strip():
        raise ModelError(f"{where} is empty: each line is a label, a space and a sentence")
    label, _, words = _decoded(line, where, chosen.encoding).partition(" ")
    if label not in map(str, range(chosen.classes)):
        raise ModelError(f"{where} has the label {label[:20]!r}, not one of 0 to {chosen.classes - 1}")
    if not words.split():
        raise ModelError(f"{where} has a label and no sentence")
    return int(label), " ".join(words.split())


def _decoded(line: bytes, where: str, encoding: str) -> str:
    """Any bytes are Latin-1; those that are valid UTF-8 beyond ASCII were hardly meant as such."""
    wrong = not _is_utf8(line) if encoding == "utf-8" else _is_utf8(line) and not line.isascii()
    if wrong or _CONTROL.search(line):
        raise ModelError(f"{where} is not {encoding.upper()}")
    return line.decode(encoding)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dealt(examples: Examples, file: str, fold: int) -> list[Examples]:
    """Train, dev and test of ``fold``."""
    if not 0 <= fold < FOLDS:
        raise ModelError(f"fold is 0 to {FOLDS - 1}, not {fold}")
    if len(examples) < FOLDS:
        raise ModelError(f"{file} has {len(examples)} sentences, its {FOLDS} parts need {FOLDS} or more")
    order = np.random.default_rng(0).permutation(len(examples)).tolist()
    parts = [order[at::FOLDS] for at in range(FOLDS)]
    test, dev = parts[fold], parts[(fold + 1) % FOLDS]
    held_out = {*test, *dev}
    return [examples.take(rows) for rows in ([row for row in order if row not in held_out], dev, test)]
