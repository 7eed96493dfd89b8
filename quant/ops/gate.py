"""Gate: the elementwise product of a receptance and a value, re-quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spikegpt_hls.quant.format import Format, Ints, requantize
from spikegpt_hls.quant.ops.base import Operation, State


@dataclass(frozen=True)
class Gate(Operation):
    """``r * y`` elementwise."""

    streams: ClassVar[tuple[str, ...]] = ("r", "y")

    channels: int
    r: Format
    y: Format

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        return requantize(streams[0] * streams[1], self.r.frac + self.y.frac, self.out), state
