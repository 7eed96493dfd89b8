"""Gate: the elementwise product of a receptance and a value, re-quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spikegpt_hls.quant.format import Ints, requantize
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Rule, Signal, not_finer_than


@dataclass(frozen=True)
class Gate(Operation):
    """``r * y`` elementwise."""

    streams: ClassVar[tuple[str, ...]] = ("r", "y")
    rules: ClassVar[tuple[Rule, ...]] = (not_finer_than("r and y together", lambda op: op.r.frac + op.y.frac),)

    channels: Channels
    r: Signal
    y: Signal

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        return requantize(streams[0] * streams[1], self.r.frac + self.y.frac, self.out), state
