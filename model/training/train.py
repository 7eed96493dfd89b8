"""Training: one visible loop for any network and any objective, on one process or many, resumable bit for bit."""

from __future__ import annotations

import math
import shutil
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.corpus.tokenizer import Ids
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.training import distributed
from spikegpt_hls.model.training.dashboard import dashboard
from spikegpt_hls.model.training.training_state import TrainingState

PRECISIONS = ("float32", "bfloat16")
SCALE_RATE = 5.0  # learning rate of a quantizer's scale, relative: its logarithm has whole bits to travel


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
    ema: float | None = None  # decay of the average of the weights that training ends with; None: the last weights
    precision: str = "float32"  # of matrix products; recurrences and losses are float32 in any case

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ModelError(f"unknown precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
        if self.steps < 0 or min(self.batch, self.accumulate) < 1:
            raise ModelError("a step of training takes at least 1 row, accumulated at least once")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"betas": list(self.betas)}

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

    def figures(self) -> dict[str, float]:
        """What else is of interest in the last step."""
        ...


@dataclass(frozen=True)
class LanguageModelling:
    """Cross entropy of the next token over random windows of ``ids`` (N,)."""

    ids: Ids
    plan: Plan

    def batch(self, step: int, shard: int = 0, shards: int = 1) -> tuple[Tensor, Tensor]:
        """Inputs and targets (batch, context) of one shard of a step."""
        rows, context = self.plan.batch, self.plan.context
        generator = np.random.default_rng([self.plan.seed, step])
        starts = generator.integers(0, len(self.ids) - context, rows * shards)[shard * rows :][:rows]
        windows = torch.from_numpy(self.ids[starts[:, None] + np.arange(context + 1)].astype(np.int64))
        return windows[:, :-1], windows[:, 1:]

    def loss(self, model: nn.Module, step: int, shard: int, shards: int) -> Tensor:
        device = next(model.parameters()).device
        ids, targets = (rows.to(device) for rows in self.batch(step, shard, shards))
        return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())

    def figures(self) -> dict[str, float]:
        return {}


def train(
    model: nn.Module,
    objective: Objective,
    plan: Plan,
    resume: Path | None = None,
    identity: dict[str, Any] | None = None,
    title: str = "training",
    console: Console | None = None,
    tensorboard: Path | None = None,
) -> list[float]:
    """Train in place and return the loss of every step.

    ``resume`` is the file of training checkpoints. One that was written for the same plan and ``identity`` is continued
    from; any other is replaced. Under ``torchrun`` every process calls this, and the first one writes.
    """
    shards = distributed.size() * plan.accumulate
    header = {"plan": plan.as_json(), "shards": shards, "identity": identity or {}}
    state = TrainingState(model, _optimizer(model, plan), plan.ema, header)
    if resume:
        state.restore(resume)
    if distributed.rank() > 0:
        resume = tensorboard = None
        console = Console(quiet=True)
    if tensorboard and not state.losses:
        shutil.rmtree(tensorboard, ignore_errors=True)
    averaging = distributed.parallel(model.train())
    tokens = plan.batch * shards * plan.context
    with dashboard(model, title, len(state.losses), plan.steps, tokens, tensorboard, console) as board:
        for step in range(len(state.losses), plan.steps):
            for group in state.optimizer.param_groups:
                group["lr"] = plan.lr_at(step) * group["rate"]
            with board.watching(step):
                loss = _backward(averaging, objective, plan, step)
            norm = nn.utils.clip_grad_norm_(state.named.values(), plan.clip)
            state.optimizer.step()
            if state.average:
                state.average.update(step)
            state.losses.append(loss)
            last = step + 1 == plan.steps
            shown = {"loss": loss, "learning rate": plan.lr_at(step), "gradient norm": float(norm)}
            board.show(step, last, shown | objective.figures())
            if resume and ((step + 1) % plan.checkpoint_every == 0 or last):
                board.flush()
                state.save(resume)
    if state.average:
        state.average.apply()
    return state.losses


def _backward(model: nn.Module, objective: Objective, plan: Plan, step: int) -> float:
    """Leave the gradient of the step's batch in the parameters; its loss, or ModelError where training has diverged."""
    model.zero_grad(set_to_none=True)
    shards, device = distributed.size() * plan.accumulate, next(model.parameters()).device
    total = 0.0
    for part in range(plan.accumulate):
        last = part + 1 == plan.accumulate
        wait = nullcontext() if last or distributed.size() == 1 else model.no_sync()  # type: ignore[operator]
        with wait:
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
                loss = objective.loss(model, step, distributed.rank() * plan.accumulate + part, shards)
            (loss / plan.accumulate).backward()
        total += loss.item() / plan.accumulate
    total = distributed.mean(total)
    if not math.isfinite(total):
        raise ModelError(f"the loss is {total} at step {step}: a lower learning rate than {plan.lr} may help")
    return total


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.AdamW:
    """Matrices decay; gains, mixes, decays and the embedding, of which only signs count, do not."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in named.items() if p.dim() == 2 and name != "emb.weight"]
    scales = [p for p in named.values() if p.dim() == 0]
    others = [p for name, p in named.items() if p.dim() == 1 or p.dim() > 2 or name == "emb.weight"]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay, "rate": 1.0},
        {"params": others, "weight_decay": 0.0, "rate": 1.0},
        {"params": scales, "weight_decay": 0.0, "rate": SCALE_RATE},
    ]
    return torch.optim.AdamW(groups, lr=plan.lr, betas=plan.betas, fused=True)
