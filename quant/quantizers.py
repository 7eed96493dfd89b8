"""Brevitas quantizers with learned power-of-two scales, and the formats they stand for.

A scale is ``2**round(r)`` of a trained ``r`` (log2 of the range): rounding passes its gradient straight through, so
that weights and binary points train together (TQT, arXiv 1903.08066). Calibration chooses where ``r`` starts.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.quant.fake_quantize import Grid, fake_quantize
from spikegpt_hls.quant.format import Format

MU = Format(10, 8)  # token shift's mix
GAIN_BITS = 8
BIAS = Format(16, 10)  # LayerNorm's bias
MIN_FRAC, MAX_FRAC = 0, 12  # of an activation: a spike is worth 1, so no grid needs to be coarser than that
MAX_WEIGHT_FRAC = 15


class PowerOfTwoQuant(nn.Module):
    """The ``tensor_quant`` of our Brevitas quantizers: one learned power-of-two scale for a whole tensor.

    Brevitas's own (``RescalingIntQuant``) means the same and takes some twenty passes over the tensor, this takes one.
    A ternary tensor keeps the scale that it starts with, and its gradient passes straight through everywhere: a change
    of scale would move most of its weights at once, and one clipped to 1 would never come back.
    """

    def __init__(self, bit_width: int, signed: bool, narrow_range: bool, max_frac: int) -> None:
        super().__init__()
        self.bits, self.signed, self.narrow, self.max_frac = bit_width, signed, narrow_range, max_frac
        self.ternary = narrow_range and bit_width == 2
        self.log2_range = nn.Parameter(torch.zeros(()), requires_grad=not self.ternary)

    @property
    def format(self) -> Format:
        frac = self.bits - self.signed - round(self.log2_range.item())
        return Format(self.bits, min(max(frac, MIN_FRAC), self.max_frac), self.signed)

    def settle(self, samples: NDArray) -> None:
        """Start from the scale with the least mean squared error over ``samples``; the finer of two equals."""

        def error(frac: int) -> float:
            fmt = Format(self.bits, frac, self.signed)
            integers = np.clip(np.rint(np.ldexp(samples, frac)), self.lowest(fmt), fmt.hi)
            return float(np.mean((np.ldexp(integers, -frac) - samples) ** 2))

        best = min(range(self.max_frac, MIN_FRAC - 1, -1), key=error)
        with torch.no_grad():
            self.log2_range.fill_(self.bits - self.signed - best)

    def lowest(self, fmt: Format) -> int:
        """A narrow range is symmetric: two bits are ternary."""
        return -fmt.hi if self.narrow else fmt.lo

    @property
    def scale_and_grid(self) -> tuple[Tensor, Grid]:
        """What rounds to today's grid and lets the scale learn (``quant.fake_quantize``)."""
        fmt = self.format
        return self.log2_range, Grid(fmt.frac, self.lowest(fmt), fmt.hi)

    def rounded(self, x: Tensor) -> Tensor:
        if self.ternary:
            passed: Tensor = fake_quantize(x.detach(), None, self.scale_and_grid[1]) + (x - x.detach())
            return passed
        return fake_quantize(x, *self.scale_and_grid)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Value, scale, zero point and bit width, as Brevitas's proxies expect them."""
        y = self.rounded(x)
        return y, x.new_tensor(self.format.scale), x.new_tensor(0.0), x.new_tensor(float(self.bits))


class SignedAct(Int8ActPerTensorFixedPoint):
    """Signed activations."""

    tensor_quant = PowerOfTwoQuant
    max_frac = MAX_FRAC


class UnsignedAct(Uint8ActPerTensorFixedPoint):
    """Activations that are never negative."""

    tensor_quant = PowerOfTwoQuant
    max_frac = MAX_FRAC


class FixedWeight(Int8WeightPerTensorFixedPoint):
    """Weights symmetric about zero; ``bit_width`` is overridden."""

    tensor_quant = PowerOfTwoQuant
    max_frac = MAX_WEIGHT_FRAC


class Edge(nn.Module):
    """The activation between two operations: fake-quantized in training; hardware carries its ``format``."""

    def __init__(self, bits: int = 8, signed: bool = True) -> None:
        super().__init__()
        self.bits = bits
        self.quantizer = qnn.QuantIdentity(
            act_quant=SignedAct if signed else UnsignedAct, bit_width=bits, return_quant_tensor=False
        )
        self.samples: list[NDArray] | None = None  # a list while calibrating

    @cached_property
    def quant(self) -> PowerOfTwoQuant:
        return self.quantizer.act_quant.fused_activation_quant_proxy.tensor_quant  # type: ignore[no-any-return]

    @property
    def format(self) -> Format:
        return self.quant.format

    @property
    def scale_and_grid(self) -> tuple[Tensor, Grid]:
        return self.quant.scale_and_grid

    def share(self, other: Self) -> None:
        """Have the other edge's scale from now on."""
        if self.bits != other.bits:
            raise ModelError(f"edges that share a format need one width: there are {other.bits} and {self.bits} bits")
        self.quantizer = other.quantizer

    def settle(self, *others: Self) -> None:
        """Choose the scale from what was observed, here and by ``others`` that share it; without, it stays."""
        samples = np.concatenate([np.zeros(1), *(part for edge in (self, *others) for part in edge.samples or ())])
        if samples.any():
            self.quant.settle(samples[1:])
        for edge in (self, *others):
            edge.samples = None

    def forward(self, x: Tensor) -> Tensor:
        if self.samples is not None:
            flat = x.detach().flatten()
            self.samples.append(flat[:: max(1, flat.numel() // 20_000)].double().numpy())
            return x
        return self.quant.rounded(x)  # as the quantizer's proxies do, which take longer than the rounding
