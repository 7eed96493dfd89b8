"""Labelled sentences to a quantized classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.workspace import Workspace


@dataclass(frozen=True)
class Classifying(Settings):
    """What a classifier is trained on, and from what."""

    data: str | None = setting(None, "The folder with the task's files.", example="nlu", otherwise="to be named")
    fold: int = setting(0, "Which tenth of mr and subj is the test.", click.IntRange(0, 9), 3)
    steps: int | None = setting(None, "Training steps in all.", click.INT, 2000, "the task's own")
    seed: int = setting(0, "Seed of training.", click.IntRange(0), 1)
    weight_bits: str = setting("8", "Bits of weights: 8, 4 or 2 (ternary) for all layers, or by layer.", example="4")
    init: str | None = setting(
        None, "A checkpoint to start from, its tokenizer beside it.", example="lm.safetensors", otherwise="from scratch"
    )


def task_of(place: Workspace) -> str:
    return place.preset.removeprefix("nlu-")


def digests(place: Workspace, settings: Classifying, named: Mapping[str, Any]) -> dict[str, str]:
    """What the result follows from."""
    from spikegpt_hls.model.classify import nlu

    found = {"init": record.of_file(Path(settings.init))} if settings.init else {}
    if settings.data is not None:
        found |= {path.name: record.of_file(path) for path in nlu.paths(task_of(place), settings.data)}
    return found


def check(place: Workspace, settings: Classifying) -> None:
    """ModelError for data that cannot be used, before PyTorch is loaded."""
    from spikegpt_hls.model.classify import nlu
    from spikegpt_hls.model.errors import ModelError

    task = task_of(place)
    if settings.data is None:
        raise ModelError(f"data= is needed: the folder that holds {', '.join(nlu.task(task).files)}")
    nlu.load(task, settings.data, settings.fold)
    if settings.init and not Path(settings.init).is_file():
        raise ModelError(f"no checkpoint at {settings.init}")


def run(place: Workspace, settings: Classifying, console: Console) -> None:
    """``checkpoint.safetensors`` and ``metrics.json`` of the classifier."""
    from spikegpt_hls.quant.training.train_nlu import train_nlu

    train_nlu(place.folder, task_of(place), console=console, **settings.as_json())
