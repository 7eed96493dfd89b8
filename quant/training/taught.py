"""Where a student's teacher comes from: a file, or the twin without neurons, trained first and kept."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from rich.console import Console

from spikegpt_hls.host.builds import sha256
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.corpus.tokens import Corpus
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training import distributed
from spikegpt_hls.model.training import teacher as teachers
from spikegpt_hls.model.training.train import LanguageModelling, Plan, train


def digest(named: str) -> str:
    """The twin, or the content of a file."""
    return named if named in (teachers.TWIN, teachers.NONE) else sha256(Path(named))


def teacher(
    named: str, folder: Path, resume: Path, corpus: Corpus, config: Config, plan: Plan, console: Console | None
) -> SpikeGPT | None:
    """The one that was asked for; a twin is trained by ``plan``."""
    if named == teachers.NONE:
        return None
    if named != teachers.TWIN:
        found = teachers.load(Path(named), config.vocabulary)
    else:
        found = _twin(folder, resume, corpus, config, plan, console)
    found.to(distributed.device())
    return found


def _twin(folder: Path, resume: Path, corpus: Corpus, config: Config, plan: Plan, console: Console | None) -> SpikeGPT:
    config = replace(config, neurons="none", placement="canonical", hidden="squared-relu")
    digests = {"text_sha256": corpus.text.sha256, "tokenizer_sha256": corpus.tokenizer.sha256}
    identity = {"config": asdict(config), "plan": plan.as_json(), **digests}
    file = folder / teachers.FILE
    if (found := teachers.kept(file, identity)) is not None:
        return found
    torch.manual_seed(plan.seed)
    twin = SpikeGPT(config)
    twin.to(distributed.device())
    training, _ = corpus.split(plan.context)
    objective, going_on = LanguageModelling(training, plan), resume / "teacher.safetensors"
    board = folder / "tensorboard" / resume.name / "teacher"
    train(twin, objective, plan, going_on, identity, "teacher", console, board)
    if distributed.rank() == 0:
        teachers.save(twin, file, identity)
    twin.eval().requires_grad_(False)
    return twin
