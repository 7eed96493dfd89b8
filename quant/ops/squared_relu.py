"""Squared ReLU: ``max(x, 0)**2``, re-quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, requantize
from spikegpt_hls.quant.ops.base import Operation, State


@dataclass(frozen=True)
class SquaredReLU(Operation):
    """Elementwise."""

    channels: int
    x: Format

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        positive = np.maximum(streams[0], 0)
        return requantize(positive * positive, 2 * self.x.frac, self.out), state
