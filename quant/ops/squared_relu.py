"""Squared ReLU: ``max(x, 0)**2``, re-quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikegpt_hls.quant.format import Ints, requantize
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Rule, Signal, not_finer_than


@dataclass(frozen=True)
class SquaredReLU(Operation):
    """Elementwise."""

    rules: ClassVar[tuple[Rule, ...]] = (not_finer_than("the square of x", lambda op: 2 * op.x.frac),)

    channels: Channels
    x: Signal

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        positive = np.maximum(streams[0], 0)
        return requantize(positive * positive, 2 * self.x.frac, self.out), state
