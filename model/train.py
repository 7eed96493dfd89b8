"""Training: one visible loop for any network and any objective, resumable bit for bit.

Everything the next step depends on is in the checkpoint: parameters, Adam's moments, the step, torch's random state.
The data order follows from (seed, step), so there is nothing else to restore.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model import checkpoint


@dataclass(frozen=True)
class Plan:
    """One phase of training; a step has ``batch * accumulate`` rows on each process."""

    steps: int
    lr: float
    context: int = 64
    batch: int = 16
    accumulate: int = 1
    final_lr: float = 1e-5
    warmup: int = 50
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 100

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine down to ``final_lr``."""
        warmup = min(self.warmup, self.steps // 10)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        progress = (step - warmup) / max(self.steps - warmup, 1)
        return self.final_lr + (self.lr - self.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))


class Objective(Protocol):
    """What is minimised.

    A step's batch has ``plan.batch * shards`` rows and follows from (seed, step) alone; ``loss`` is the mean over the
    rows of one shard, so that the mean over all shards is the batch's, however it is divided.
    """

    def loss(self, model: nn.Module, step: int, shard: int, shards: int) -> Tensor: ...


@dataclass(frozen=True)
class LanguageModelling:
    """Cross entropy of the next token over random windows of ``ids`` (N,)."""

    ids: NDArray[np.integer]
    plan: Plan

    def batch(self, step: int, shard: int = 0, shards: int = 1) -> tuple[Tensor, Tensor]:
        """Inputs and targets (batch, context) of one shard of a step."""
        rows, context = self.plan.batch, self.plan.context
        generator = np.random.default_rng([self.plan.seed, step])
        starts = generator.integers(0, len(self.ids) - context, rows * shards)[shard * rows :][:rows]
        windows = torch.from_numpy(self.ids[starts[:, None] + np.arange(context + 1)].astype(np.int64))
        return windows[:, :-1], windows[:, 1:]

    def loss(self, model: nn.Module, step: int, shard: int, shards: int) -> Tensor:
        ids, targets = self.batch(step, shard, shards)
        return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def train(
    model: nn.Module,
    objective: Objective,
    plan: Plan,
    resume: Path | None = None,
    identity: dict[str, Any] | None = None,
    title: str = "training",
    console: Console | None = None,
) -> list[float]:
    """Train in place and return the loss of every step.

    ``resume`` is the file of training checkpoints. One that was written for the same plan and ``identity`` is continued
    from; any other is replaced.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(_groups(named, plan), lr=plan.lr, betas=plan.betas)
    header = {"plan": {**asdict(plan), "betas": list(plan.betas)}, "identity": identity or {}}
    losses = _restore(resume, model, optimizer, named, header) if resume else []
    model.train()
    with _progress(console) as progress:
        resumed = f" from step {len(losses)}" if losses else ""
        task = progress.add_task(title + resumed, total=plan.steps, completed=len(losses), note="")
        for step in range(len(losses), plan.steps):
            for group in optimizer.param_groups:
                group["lr"] = plan.lr_at(step)
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for shard in range(plan.accumulate):
                loss = objective.loss(model, step, shard, plan.accumulate) / plan.accumulate
                loss.backward()
                total += loss.item()
            nn.utils.clip_grad_norm_(named.values(), plan.clip)
            optimizer.step()
            losses.append(total)
            tokens_per_second = (progress.tasks[task].speed or 0) * plan.batch * plan.accumulate * plan.context
            note = f"loss {losses[-1]:.3f}  {tokens_per_second:,.0f} tokens/s"
            progress.update(task, advance=1, note=note)
            if resume and ((step + 1) % plan.checkpoint_every == 0 or step + 1 == plan.steps):
                _store(resume, model, optimizer, named, header, losses)
    return losses


def _groups(named: dict[str, nn.Parameter], plan: Plan) -> list[dict[str, Any]]:
    """Matrices decay; gains, mixes, decays and the embedding, of which only signs count, do not."""
    decays = {name for name, p in named.items() if p.dim() == 2 and name != "emb.weight"}
    return [
        {"params": [p for name, p in named.items() if name in decays], "weight_decay": plan.weight_decay},
        {"params": [p for name, p in named.items() if name not in decays], "weight_decay": 0.0},
    ]


def _store(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    named: dict[str, nn.Parameter],
    header: dict[str, Any],
    losses: list[float],
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in named.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["rng"] = torch.get_rng_state()
    checkpoint.save(path, tensors, header)


def _restore(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    named: dict[str, nn.Parameter],
    header: dict[str, Any],
) -> list[float]:
    """The losses so far, after putting everything back; an empty list where there is nothing to continue."""
    if not path.is_file():
        return []
    tensors, written = checkpoint.load(path)
    if written != header:
        return []
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for name, parameter in named.items():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            optimizer.state[parameter][key] = tensors[f"optimizer.{key}.{name}"].clone()
    torch.set_rng_state(tensors["rng"])
    return [float(loss) for loss in tensors["losses"]]


def _progress(console: Console | None) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
