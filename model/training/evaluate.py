"""Cross entropy on held-out tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.corpus.tokenizer import Ids

LARGEST_BATCH = 128  # windows; and fewer where their logits would be more than these
LOGITS = 1 << 25


def windows(ids: Ids, context: int, count: int | None = None) -> list[int]:
    """Where windows of ``context`` tokens start: all, side by side, or ``count`` of the whole ones, evenly spaced.

    Each token is predicted once, but for the first; the last window is shorter where the tokens end.
    """
    starts = range(0, len(ids) - 1, context)
    if count is None or count >= len(starts):
        return list(starts)
    return [starts[i] for i in np.linspace(0, (len(ids) - 1) // context - 1, count).astype(int)]


def nats_per_token(
    model: nn.Module,
    ids: Ids,
    context: int,
    count: int | None = None,
    title: str = "evaluating",
    console: Console | None = None,
) -> float:
    """Mean cross entropy of the next token over ``windows``, each from a fresh state; leaves the mode as it is."""
    device = next(model.parameters()).device
    starts = windows(ids, context, count)
    total, tokens = 0.0, 0
    with torch.no_grad(), Progress(console=console or Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=len(starts))
        for batch, rows in _batches(ids, starts, context, model):
            logits = model(batch[:, :-1].to(device)).double()
            targets = batch[:, 1:].flatten().to(device)
            total += float(F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"))
            tokens += targets.numel()
            progress.advance(task, rows)
    return total / tokens


def _batches(ids: Ids, starts: list[int], context: int, model: nn.Module) -> Iterator[tuple[Tensor, int]]:
    """Windows of equal length together: (rows, length + 1)."""
    outputs = model.config.outputs  # type: ignore[union-attr]
    rows = max(1, min(LARGEST_BATCH, LOGITS // (context * outputs)))
    whole = [start for start in starts if start + context < len(ids)]
    groups = [whole[i : i + rows] for i in range(0, len(whole), rows)]
    for group in [*groups, *([start] for start in starts[len(whole) :])]:
        stack = np.stack([ids[start : start + context + 1] for start in group]).astype(np.int64)
        yield torch.from_numpy(stack), len(group)
