"""Residual: ``x + s``, a saturating add of one spike to the residual stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spikegpt_hls.quant.format import ExactnessError, Format, Ints
from spikegpt_hls.quant.ops.base import Operation, State
from spikegpt_hls.quant.ops.embedding import BIT


@dataclass(frozen=True)
class Residual(Operation):
    """The spike counts ``1.0`` on the grid of ``x``, which the output keeps: ``out.frac == x.frac >= 0``."""

    streams: ClassVar[tuple[str, ...]] = ("x", "s")

    channels: int
    x: Format

    def __post_init__(self) -> None:
        if self.out.frac != self.x.frac or self.x.frac < 0:
            raise ExactnessError(f"a spike cannot be added exactly from {self.x} to {self.out}")

    @property
    def s(self) -> Format:
        return BIT

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        return self.out.saturate(streams[0] + (streams[1] << self.x.frac)), state
