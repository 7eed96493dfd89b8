"""LIF: ``h = v + (2**drive x - v)/2;  s = (h >= 1);  v = 0 if s else h`` (tau 2, threshold 1, hard reset).

SpikeGPT ``src/model.py``: spikingjelly's ``MultiStepLIFNode(tau=2.)`` with decayed input; there ``drive``
is 0. A drive is but another binary point of the input, that of the current. The membrane lies on the
input's grid and the halving floors: one add, one shift, one compare. The spikes are those of exact arithmetic, whose
membranes would grow by a bit a token: ``floor((floor(v) + x)/2) = floor((v + x)/2)`` for an integer ``x``, and a floor
reaches an integer threshold where its number does. So no finer grid makes another spike. Graphs of earlier versions
have an attribute ``membrane``, eight bits finer; like every attribute of other origin it is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from spikegpt_hls.quant.format import MAX_ACCUMULATOR_BITS, ExactnessError, Format, Ints
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Bit, Channels, Count, Signal
from spikegpt_hls.quant.ops.embedding import BIT


@dataclass(frozen=True)
class LIF(Operation):
    """State ``membrane``. The output is one bit. ExactnessError for an input too wide or too fine for the hardware."""

    state: ClassVar[tuple[str, ...]] = ("membrane",)
    retired: ClassVar[tuple[str, ...]] = ("membrane",)

    out: Bit
    channels: Channels
    x: Signal
    drive: Annotated[int, Count(0, 3)] = 0

    def __post_init__(self) -> None:
        if self.out != BIT:
            raise ExactnessError(f"a LIF sends spikes of {BIT}, not {self.out}")
        v = self.membrane
        bits = max(v.bits + 2 - v.signed, v.frac + 2)  # of a sum, and of the threshold
        if bits > MAX_ACCUMULATOR_BITS:
            raise ExactnessError(
                f"a LIF that reads {self.x} adds in {bits} bits; at most {MAX_ACCUMULATOR_BITS} are built"
            )

    @classmethod
    def of(cls, channels: int, x: Format, drive: int = 0) -> LIF:
        return cls(BIT, channels, x, drive)

    @property
    def current(self) -> Format:
        """What the integers of ``x`` stand for, driven."""
        return Format(self.x.bits, self.x.frac - self.drive, self.x.signed)

    @property
    def membrane(self) -> Format:
        """The current's grid, or whole thresholds where that is coarser; a mean of currents stays in their range."""
        x = self.current
        return Format(x.bits + max(-x.frac, 0), max(x.frac, 0), x.signed)

    @property
    def threshold(self) -> int:
        """1.0 on the membrane's grid."""
        return 1 << self.membrane.frac

    def state_format(self, name: str) -> Format:
        return self.membrane

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        x = streams[0] << (self.membrane.frac - self.current.frac)
        v = state["membrane"]
        spikes = np.empty_like(x)
        for t in range(x.shape[1]):
            h = (v + x[:, t]) >> 1
            spikes[:, t] = h >= self.threshold
            v = np.where(spikes[:, t] == 1, 0, h)
        return spikes, {"membrane": v}
