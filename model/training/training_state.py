"""Everything that the next step of a training depends on, in one file.

Parameters, Adam's moments, the weights' average, torch's random state. The data order follows from (seed, step), so
there is nothing else to restore.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikegpt_hls.model import checkpoint

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
FOLDER = "training"


def resume_folder(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Where one training, and no other, keeps what it goes on from."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return folder / FOLDER / digest


def _of_the_version_before(path: Path) -> Path:
    """There all trainings of a folder shared one file, above today's."""
    return path.parent.parent / path.name


def forget(resume: Path) -> None:
    """A training is done: what it could go on from goes, and the folder of all trainings where it is empty."""
    shutil.rmtree(resume, ignore_errors=True)
    with suppress(OSError):
        resume.parent.rmdir()


class Average:
    """Exponential moving average of the weights; the first steps count less (``min(decay, (1 + n) / (10 + n))``)."""

    def __init__(self, named: dict[str, nn.Parameter], decay: float) -> None:
        self.named, self.decay = named, decay
        self.values = {name: parameter.detach().clone() for name, parameter in named.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self.named.values()), 1 - keep)

    @torch.no_grad()
    def apply(self) -> None:
        """Make the averages the weights."""
        for name, parameter in self.named.items():
            parameter.copy_(self.values[name])


class TrainingState:
    """A network, its optimizer and its losses so far; ``header`` says which training they belong to."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, ema: float | None, header: dict[str, Any]
    ) -> None:
        self.model, self.optimizer, self.header = model, optimizer, header
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.average = None if ema is None else Average(self.named, ema)
        self.losses: list[float] = []

    def save(self, path: Path) -> None:
        tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.named.items():
            for key in MOMENTS:
                tensors[f"optimizer.{key}.{name}"] = self.optimizer.state[parameter][key]
        if self.average:
            tensors |= {f"average.{name}": value for name, value in self.average.values.items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensors["rng"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        checkpoint.save(path, tensors, self.header)

    def _is_of(self, path: Path) -> bool:
        return path.is_file() and checkpoint.header(path) == self.header

    @torch.no_grad()
    def restore(self, path: Path) -> None:
        """Go on from ``path``, if it was written for the same training."""
        found = next((file for file in (path, _of_the_version_before(path)) if self._is_of(file)), None)
        if found is None:
            return
        tensors, _ = checkpoint.load(found)
        own = self.model.state_dict()
        for name, value in _below("model.", tensors).items():
            own[name].copy_(value)  # in place: Brevitas answers load_state_dict with new parameters
        for name, parameter in self.named.items():
            moments = {key: tensors[f"optimizer.{key}.{name}"].to(parameter.device) for key in MOMENTS}
            self.optimizer.state[parameter].update(moments)
        for name, value in _below("average.", tensors).items():
            self.average.values[name].copy_(value)  # type: ignore[union-attr]
        torch.set_rng_state(tensors["rng"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.losses = tensors["losses"].tolist()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
