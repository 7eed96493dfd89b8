"""LIF: ``h = v + (x - v)/2;  s = (h >= 1);  v = 0 if s else h`` (tau 2, threshold 1, hard reset).

SpikeGPT ``src/model.py``: spikingjelly's ``MultiStepLIFNode(tau=2.)`` with decayed input. The membrane lies on a finer
grid than the input and the halving floors: one add, one shift, one compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, bits_for
from spikegpt_hls.quant.ops.base import Operation, State
from spikegpt_hls.quant.ops.embedding import BIT
from spikegpt_hls.quant.ops.schema import Bit, Channels, Formats, Rule

GUARD_BITS = 8  # fraction bits that the membrane has beyond its input


def _needed(x: Format, frac: int) -> int:
    """Bits of a membrane that holds every reachable value."""
    up = frac - x.frac
    return bits_for(x.lo << up, max(x.hi << up, 1 << frac))


@dataclass(frozen=True)
class LIF(Operation):
    """State ``membrane``. The output is one bit."""

    state: ClassVar[tuple[str, ...]] = ("membrane",)
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("membrane", "be no coarser than x", lambda op: op.membrane.frac >= op.x.frac),
        Rule("membrane", "hold all of x, and 1", lambda op: op.membrane.bits >= _needed(op.x, op.membrane.frac)),
    )

    out: Bit
    channels: Channels
    x: Annotated[Format, Formats((1, 16), (-8, 16), (True,))]
    membrane: Annotated[Format, Formats((1, 48), (0, 24), (True,))]

    @classmethod
    def of(cls, channels: int, x: Format) -> LIF:
        """With the standard guard bits, and a membrane that holds every reachable value."""
        frac = max(x.frac, 0) + GUARD_BITS
        return cls(BIT, channels, x, Format(_needed(x, frac), frac))

    @property
    def threshold(self) -> int:
        """1.0 on the membrane's grid."""
        return 1 << self.membrane.frac

    def state_format(self, name: str) -> Format:
        return self.membrane

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        x = streams[0] << (self.membrane.frac - self.x.frac)
        v = state["membrane"]
        spikes = np.empty_like(x)
        for t in range(x.shape[1]):
            h = (v + x[:, t]) >> 1
            spikes[:, t] = h >= self.threshold
            v = np.where(spikes[:, t] == 1, 0, h)
        return spikes, {"membrane": v}
