"""Graded spike: ``max(x - theta, 0)**2``, re-quantized: mostly 0, and else a number, where a LIF would send a bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, requantize
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Rule, Signal, not_finer_than


@dataclass(frozen=True)
class GradedSpike(Operation):
    """Parameter ``theta`` (channels,), a threshold of at least 0 for each channel, on the grid of ``x``."""

    params: ClassVar[tuple[str, ...]] = ("theta",)
    rules: ClassVar[tuple[Rule, ...]] = (not_finer_than("the square of x", lambda op: 2 * op.x.frac),)

    channels: Channels
    x: Signal

    def param_format(self, name: str) -> Format:
        return Format(self.x.bits - self.x.signed, self.x.frac, signed=False)  # beyond, nothing passes

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        above = np.maximum(streams[0] - params["theta"], 0)
        return requantize(above * above, 2 * self.x.frac, self.out), state
