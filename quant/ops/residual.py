"""Residual: ``out = saturate(x + s)``, where ``s`` is a spike or, without neurons, any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from spikegpt_hls.quant.format import Format, Ints, shift_half_even
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats, Rule, Signal
from spikegpt_hls.quant.ops.embedding import BIT


@dataclass(frozen=True)
class Residual(Operation):
    """The output keeps the grid of ``x`` (``out.frac == x.frac >= 0``), and ``s`` is brought to it.

    ``out = saturate(x + round_half_even(s * 2**(x.frac - s.frac)))``: exact where the grid of ``s`` is no finer than
    that of ``x``, as a spike's is, which counts ``1.0``.
    """

    streams: ClassVar[tuple[str, ...]] = ("x", "s")
    rules: ClassVar[tuple[Rule, ...]] = (Rule("out", "lie on the grid of x", lambda op: op.out.frac == op.x.frac),)

    out: Annotated[Format, Formats((1, 24), (0, 16))]
    channels: Channels
    x: Annotated[Format, Formats((1, 20), (0, 16))]
    s: Signal = BIT

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        x, s = streams
        return self.out.saturate(x + shift_half_even(s, self.s.frac - self.x.frac)), state
