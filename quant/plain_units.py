"""The units without parameters; see ``quant.units``."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikegpt_hls.model.channel_mix import squared_relu
from spikegpt_hls.model.lif import LIFFunction
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.fake_quantize import Grid, quantized_product, quantized_sigmoid, quantized_squared_relu
from spikegpt_hls.quant.format import Format, shift_half_even
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.units import Stream, Unit


class Sigmoid(Unit):
    """The receptance's squashing."""

    OUT: ClassVar[Format] = Format(8, 8, signed=False)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.Sigmoid(self.OUT, self.channels, formats[0])

    def surrogate(self, *streams: Stream) -> Tensor:
        (x,) = streams
        if x.rounding is None:
            return self.fake_quantize(torch.sigmoid(x.value), self.OUT)
        return quantized_sigmoid(x.raw, *x.rounding, Grid.of(self.OUT))  # type: ignore[no-any-return]


class Gate(Unit):
    """Receptance times value, on the grid of the LIF or Linear that reads it."""

    def __init__(self, channels: int, bits: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.out = Edge(bits)

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.Gate(self.out.format, self.channels, *formats)

    def surrogate(self, *streams: Stream) -> Tensor:
        r, y = streams
        if y.rounding is None:
            return self.out(r.value * y.value)  # type: ignore[no-any-return]
        return quantized_product(y.raw, *y.rounding, r.value, *self.out.scale_and_grid)  # type: ignore[no-any-return]


class SquaredReLU(Unit):
    """``max(x, 0)**2``."""

    def __init__(self, channels: int, bits: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.out = Edge(bits, signed=False)

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.SquaredReLU(self.out.format, self.channels, formats[0])

    def surrogate(self, *streams: Stream) -> Tensor:
        (x,) = streams
        if x.rounding is None:
            return self.out(squared_relu(x.value))  # type: ignore[no-any-return]
        return quantized_squared_relu(x.raw, *x.rounding, *self.out.scale_and_grid)  # type: ignore[no-any-return]


class LIF(Unit):
    """One neuron per channel, which reads ``2**drive * x``."""

    def __init__(self, channels: int, drive: int = 0) -> None:
        super().__init__()
        self.channels, self.drive = channels, drive

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.LIF.of(self.channels, formats[0], self.drive)

    def surrogate(self, *streams: Stream) -> Tensor:
        x = streams[0].value
        x = x * 2**self.drive if self.drive else x
        return LIFFunction.apply(x, torch.zeros_like(x[:, 0]))[0]  # type: ignore[no-any-return]


class Residual(Unit):
    """Adds spikes, or where there are none what ``edge`` lets through, to the residual stream.

    ``out`` is chosen by the network, wide enough for all its additions.
    """

    out: Format
    dropout = 0.0  # share of the spikes that training leaves out

    def __init__(self, channels: int, edge: Edge | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.s = lambda: ops.BIT if edge is None else edge.format  # not a submodule: the edge is its own unit's

    def reach(self, frac: int) -> tuple[int, int]:
        """The least and the most that an addition adds, on a grid of ``frac``."""
        return _reach(self.s(), frac)

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.Residual(self.out, self.channels, *formats)

    def surrogate(self, *streams: Stream) -> Tensor:
        x, s = streams
        added = s.value
        if s.format.frac > x.format.frac:
            added = self.fake_quantize(added, Format(s.format.bits + 1, x.format.frac))
        return x.value + F.dropout(added, self.dropout)


@cache
def _reach(s: Format, frac: int) -> tuple[int, int]:
    lo, hi = shift_half_even(np.array([s.lo, s.hi]), s.frac - frac).tolist()
    return lo, hi
