"""What a quiet network minimises: cross entropy, its distance from a teacher, and the events above a target."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.training.events import Pressure
from spikegpt_hls.model.training.train import LanguageModelling


@dataclass(frozen=True)
class Quiet(LanguageModelling):
    """``(1 - share) * cross entropy + share * KL(teacher, student) + pressure * relu(events - target)``.

    The teacher's ``share`` is 0 without one. The pressure grows over the first ``ramp`` steps.
    """

    teacher: nn.Module | None = None
    share: float = 0.9
    target: float | None = None  # of events, in (0, 1]
    pressure: float = 6.0
    ramp: int = 500
    seen: dict[str, float] = field(default_factory=dict)  # figures of the last step

    def loss(self, model: nn.Module, step: int, shard: int, shards: int) -> Tensor:
        device = next(model.parameters()).device
        ids, targets = (rows.to(device) for rows in self.batch(step, shard, shards))
        inner = getattr(model, "module", model)  # within DistributedDataParallel
        with Pressure(inner).watching() as events:
            logits = model(ids).flatten(0, 1)
        entropy = F.cross_entropy(logits, targets.flatten())
        self.seen["cross entropy"] = float(entropy.detach())
        loss = entropy
        if self.teacher is not None:
            with torch.no_grad():
                taught = F.log_softmax(self.teacher(ids).flatten(0, 1), -1)
            distance = F.kl_div(F.log_softmax(logits, -1), taught, reduction="batchmean", log_target=True)
            loss = (1 - self.share) * entropy + self.share * distance
            self.seen["distance from the teacher"] = float(distance.detach())
        now = torch.stack([part.to(device) for part in events]).sum()
        self.seen["events"] = float(now.detach())
        if self.target is not None:
            self.seen["events wanted"] = self.target
            loss = loss + self.pressure * min(1.0, (step + 1) / max(self.ramp, 1)) * torch.relu(now - self.target)
        return loss

    def figures(self) -> dict[str, float]:
        return dict(self.seen)
