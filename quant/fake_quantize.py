"""Rounding to a grid in training, alone and with the operation that reads or writes the edge.

All is plain PyTorch, and the oracle of the compiled kernel of its name, which computes and rounds in one pass.
``r`` is log2 of the grid's scale up to a constant, or None where the grid is fixed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from spikegpt_hls.model.channel_mix import squared_relu
from spikegpt_hls.model.kernels import accelerated
from spikegpt_hls.model.time_mix import shift_mix
from spikegpt_hls.quant.format import Format


class Grid(NamedTuple):
    """The multiples of ``2**-frac`` from ``lo`` to ``hi`` of them."""

    frac: int
    lo: int
    hi: int

    @classmethod
    def of(cls, fmt: Format) -> Self:
        return cls(fmt.frac, fmt.lo, fmt.hi)


class FakeQuantizeFunction(torch.autograd.Function):
    """``y = clip(round(x / s), lo, hi) * s`` with ``s = 2**-frac``, half to even; ``r`` is log2 s up to a constant.

    The gradient of ``x`` passes where nothing is clipped; ``dy/dr`` is ``ln 2 * (y - x)`` there, and ``ln 2 * y`` where
    it is (TQT).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, r: Tensor | None, frac: int, lo: int, hi: int) -> Tensor:
        scale = 2.0**-frac
        y = (x * 2.0**frac).round_().clamp_(lo, hi).mul_(scale)
        ctx.save_for_backward(x, y)
        ctx.limits = (lo - 0.5) * scale, (hi + 0.5) * scale
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, y = ctx.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(grad, x, *ctx.limits)
        to_scale = None
        if ctx.needs_input_grad[1]:
            to_scale = math.log(2) * (
                torch.vdot(grad.flatten(), y.flatten()) - torch.vdot(passed.flatten(), x.flatten())
            )
        return passed, to_scale, None, None, None


@accelerated
def fake_quantize(x: Tensor, r: Tensor | None, grid: Grid) -> Tensor:
    """``x`` on ``grid``, half to even and saturated; its gradient passes straight through where nothing is clipped."""
    return FakeQuantizeFunction.apply(x, r, *grid)  # type: ignore[no-any-return]


@accelerated
def quantized_sigmoid(x: Tensor, r_x: Tensor | None, x_grid: Grid, grid: Grid) -> Tensor:
    """``sigmoid(x)`` of a rounded ``x``."""
    return fake_quantize(torch.sigmoid(fake_quantize(x, r_x, x_grid)), None, grid)  # type: ignore[no-any-return]


@accelerated
def quantized_product(x: Tensor, r_x: Tensor | None, x_grid: Grid, y: Tensor, r: Tensor | None, grid: Grid) -> Tensor:
    """``x * y`` of a rounded ``x`` and a ``y`` of its shape."""
    return fake_quantize(fake_quantize(x, r_x, x_grid) * y, r, grid)  # type: ignore[no-any-return]


@accelerated
def quantized_squared_relu(x: Tensor, r_x: Tensor | None, x_grid: Grid, r: Tensor | None, grid: Grid) -> Tensor:
    """``relu(x)**2`` of a rounded ``x``."""
    return fake_quantize(squared_relu(fake_quantize(x, r_x, x_grid)), r, grid)  # type: ignore[no-any-return]


@accelerated
def quantized_layer_norm(
    x: Tensor, gain: Tensor, bias: Tensor, r: Tensor, gain_grid: Grid, bias_grid: Grid, grid: Grid
) -> Tensor:
    """Over the last dimension of ``x``, which is that of ``gain`` and ``bias``, each on its own grid."""
    gain, bias = fake_quantize(gain, None, gain_grid), fake_quantize(bias, None, bias_grid)
    return fake_quantize(F.layer_norm(x, gain.shape, gain, bias), r, grid)  # type: ignore[no-any-return]


@accelerated
def quantized_shift_mix(x: Tensor, mu_grid: Grid, grid: Grid, *mus: Tensor) -> tuple[Tensor, ...]:
    """``x`` (B, T, C) mixed with the token before it, once with every ``mu`` (1, 1, C) on ``mu_grid``."""
    mixed = shift_mix(x, None, *(fake_quantize(mu, None, mu_grid) for mu in mus))
    return tuple(fake_quantize(y, None, grid) for y in mixed)
