"""Residual: ``out = saturate(x + s)``, where ``s`` is a spike or, without neurons, any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spikegpt_hls.quant.format import ExactnessError, Format, Ints, shift_half_even
from spikegpt_hls.quant.ops.base import Operation, State
from spikegpt_hls.quant.ops.embedding import BIT


@dataclass(frozen=True)
class Residual(Operation):
    """The output keeps the grid of ``x`` (``out.frac == x.frac >= 0``), and ``s`` is brought to it.

    ``out = saturate(x + round_half_even(s * 2**(x.frac - s.frac)))``: exact where the grid of ``s`` is no finer than
    that of ``x``, as a spike's is, which counts ``1.0``.
    """

    streams: ClassVar[tuple[str, ...]] = ("x", "s")

    channels: int
    x: Format
    s: Format = BIT

    def __post_init__(self) -> None:
        if self.out.frac != self.x.frac or self.x.frac < 0:
            raise ExactnessError(f"a spike cannot be added exactly from {self.x} to {self.out}")

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        x, s = streams
        return self.out.saturate(x + shift_half_even(s, self.s.frac - self.x.frac)), state
