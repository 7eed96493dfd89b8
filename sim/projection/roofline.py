"""What a part's multipliers and its memory allow, whatever the dataflow (the roofline of Williams et al., CACM 2009).

attainable MACs/s = min(peak MACs/s, intensity * bytes/s);   intensity = MACs per byte from off the chip
"""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.sim.parts import Part


@dataclass(frozen=True)
class Roofline:
    """Of one dataflow on one part at one clock; ``bytes_per_token`` come from off the chip."""

    macs_per_token: int
    bytes_per_token: float
    peak_macs: float  # per second
    bandwidth: float  # bytes per second

    @property
    def intensity(self) -> float:
        """MACs per byte; infinite where nothing comes from outside."""
        return self.macs_per_token / self.bytes_per_token if self.bytes_per_token else float("inf")

    @property
    def ridge(self) -> float:
        """The intensity from which on multipliers are what limits."""
        return self.peak_macs / self.bandwidth

    @property
    def macs(self) -> float:
        """Attainable per second."""
        return min(self.peak_macs, self.intensity * self.bandwidth)

    @property
    def tokens_per_s(self) -> float:
        return self.macs / self.macs_per_token

    @property
    def bound(self) -> str:
        return "DSP" if self.intensity >= self.ridge else "off-chip bandwidth"


def macs(dataflow: Dataflow) -> int:
    """Products of all Linears per token."""
    return sum(op.inputs * op.outputs for block in dataflow.blocks if isinstance(op := block.operation, Linear))


def roofline(dataflow: Dataflow, bytes_per_token: float, part: Part, clock: float) -> Roofline:
    """``clock`` in MHz."""
    return Roofline(macs(dataflow), bytes_per_token, part.peak_macs(clock), part.board.gb_per_s * 1e9)
