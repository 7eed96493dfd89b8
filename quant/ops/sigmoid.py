"""Receptance: ``sigmoid(x)`` as a table with one entry per input value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats


@dataclass(frozen=True)
class Sigmoid(Operation):
    """Elementwise; ``table()[x - x.lo]`` is the output for the input ``x``."""

    channels: Channels
    x: Annotated[Format, Formats((1, 9), (0, 16))]

    def table(self) -> Ints:
        return self.out.quantize(1 / (1 + np.exp(-self.x.real(np.arange(self.x.lo, self.x.hi + 1)))))

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        return self.table()[streams[0] - self.x.lo], state
