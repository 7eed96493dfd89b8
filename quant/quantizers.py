"""Brevitas quantizers with power-of-two scales, and the formats they stand for.

A scale is calibrated once (``settle``) and then stays: formats are hardware, and weights train towards them.
"""

from __future__ import annotations

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from spikegpt_hls.quant.format import Format

MU = Format(10, 8)  # token shift's mix
GAIN_BITS = 8
BIAS = Format(16, 10)  # LayerNorm's bias
WEIGHT_BITS = (8, 4, 2)
MIN_FRAC, MAX_FRAC = 0, 12  # of an activation: a spike is worth 1, so no grid needs to be coarser than that
MAX_WEIGHT_FRAC = 15


class SignedAct(Int8ActPerTensorFixedPoint):
    """Signed activations of a given power-of-two scale."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_init = 1.0


class UnsignedAct(Uint8ActPerTensorFixedPoint):
    """Activations that are never negative, of a given power-of-two scale."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_init = 1.0


class FixedWeight(Int8WeightPerTensorFixedPoint):
    """Weights symmetric about zero (2 bits are ternary), of a given power-of-two scale; ``bit_width`` is overridden."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_init = 1.0


def fake_quantize(x: Tensor, fmt: Format) -> Tensor:
    """``x`` on the grid of ``fmt``, half to even and saturated, with a straight-through gradient."""
    return torch.fake_quantize_per_tensor_affine(x, fmt.scale, 0, fmt.lo, fmt.hi)


def best_frac(samples: NDArray, bits: int, signed: bool, narrow: bool, lo: int, hi: int) -> int:
    """The fraction bits in ``lo..hi`` with the least mean squared error over ``samples``; the finer of two equals."""

    def error(frac: int) -> float:
        fmt = Format(bits, frac, signed)
        integers = np.clip(np.rint(np.ldexp(samples, frac)), -fmt.hi if narrow else fmt.lo, fmt.hi)
        return float(np.mean((np.ldexp(integers, -frac) - samples) ** 2))

    return min(range(hi, lo - 1, -1), key=error)


class Edge(nn.Module):
    """The activation between two operations: fake-quantized in training; hardware carries its ``format``."""

    def __init__(self, bits: int = 8, signed: bool = True) -> None:
        super().__init__()
        self.bits, self.signed = bits, signed
        self.quantizer = qnn.QuantIdentity(
            act_quant=SignedAct if signed else UnsignedAct, bit_width=bits, return_quant_tensor=False
        )
        self.log2_range.requires_grad_(False)
        self.samples: list[NDArray] | None = None  # a list while calibrating

    @property
    def log2_range(self) -> nn.Parameter:
        proxy = self.quantizer.act_quant.fused_activation_quant_proxy
        return proxy.tensor_quant.scaling_impl.value  # type: ignore[no-any-return]

    @property
    def format(self) -> Format:
        return Format(self.bits, self.bits - self.signed - int(self.log2_range), self.signed)

    def set_frac(self, frac: int) -> None:
        with torch.no_grad():
            self.log2_range.fill_(self.bits - self.signed - frac)

    def settle(self) -> None:
        """Choose the fraction bits from what was observed; without observation they stay."""
        samples = np.concatenate(self.samples or [np.zeros(1)])
        if samples.any():
            self.set_frac(best_frac(samples, self.bits, self.signed, False, MIN_FRAC, MAX_FRAC))
        self.samples = None

    def forward(self, x: Tensor) -> Tensor:
        if self.samples is not None:
            flat = x.detach().flatten()
            self.samples.append(flat[:: max(1, flat.numel() // 20_000)].double().numpy())
            return x
        return self.quantizer(x)  # type: ignore[no-any-return]
