"""Cross entropy on held-out text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 16


def windows(text: bytes, context: int, count: int) -> Tensor:
    """``count`` windows of ``context`` + 1 bytes, evenly spaced over ``text``: (count, context + 1)."""
    data = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    starts = torch.linspace(0, len(text) - context - 1, count).long()
    return torch.stack([data[start : start + context + 1] for start in starts]).long()


def nats_per_token(model: nn.Module, text: bytes, context: int, count: int) -> float:
    """Mean cross entropy of the next byte over ``count`` windows, each from a fresh state; leaves the mode as it is."""
    total = 0.0
    with torch.no_grad():
        for ids in windows(text, context, count).split(BATCH):
            logits = model(ids[:, :-1]).double()
            total += float(F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"))
    return total / (count * context)
