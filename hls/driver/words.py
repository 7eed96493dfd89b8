"""The words of a classifier's ``tokenizer.json`` as a board reads them: no library of tokenizers is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def words(path: str | Path) -> Callable[[str], list[int]]:
    """From a sentence to the ids of its words between spaces, that of unknown ones for the others; ValueError where the
    file is not what ``make nlu`` writes of a task's words."""
    described = json.loads(Path(path).read_text(encoding="utf-8"))
    kind = described.get("model", {}).get("type"), (described.get("pre_tokenizer") or {}).get("type")
    if kind != ("WordLevel", "WhitespaceSplit"):
        raise ValueError(f"{path} does not split a text into words at spaces: give the driver another encode=")
    known, unknown = described["model"]["vocab"], described["model"]["unk_token"]
    return lambda sentence: [known.get(word, known[unknown]) for word in sentence.split()]
