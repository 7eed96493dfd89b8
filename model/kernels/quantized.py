"""The kernels that round what they write to a grid (frac, lo, hi); ``r`` is log2 of its scale up to a constant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from spikegpt_hls.model.kernels.calls import call, like

Grid = tuple[int, int, int]
ROWS = 32  # tokens whose gradients of gain and bias are added up on their own, as quantized.cpp has it


def fake_quantize(x: Tensor, r: Tensor | None, grid: Grid) -> Tensor:
    return Rounded.apply("fake_quantize", grid, x, r)  # type: ignore[no-any-return]


def quantized_product(x: Tensor, r_x: Tensor | None, x_grid: Grid, y: Tensor, r: Tensor | None, grid: Grid) -> Tensor:
    return Rounded.apply("quantized_product", (*x_grid, *grid), x, y, r_x, r)  # type: ignore[no-any-return]


def quantized_squared_relu(x: Tensor, r_x: Tensor | None, x_grid: Grid, r: Tensor | None, grid: Grid) -> Tensor:
    return Rounded.apply("quantized_squared_relu", (*x_grid, *grid), x, r_x, r)  # type: ignore[no-any-return]


def quantized_sigmoid(x: Tensor, r_x: Tensor | None, x_grid: Grid, grid: Grid) -> Tensor:
    return Rounded.apply("quantized_sigmoid", (*x_grid, *grid), x, r_x, None)  # type: ignore[no-any-return]


class Rounded(Function):
    """An elementwise kernel, given its grids, tensors of one shape, and a logarithm for every grid."""

    @staticmethod
    def forward(ctx: Any, kernel: str, grids: tuple[int, ...], *inputs: Tensor | None) -> Tensor:
        tensors = tuple(x.contiguous() for x in inputs[: -len(grids) // 3] if x is not None)
        ctx.kernel, ctx.sizes = kernel, (tensors[0].numel(), *grids)
        ctx.save_for_backward(*tensors)
        y = like(tensors[0])
        call(f"{kernel}_forward", ctx.sizes, *tensors, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        tensors = ctx.saved_tensors
        logarithms = len(ctx.sizes) // 3
        results = [*map(like, tensors), *torch.empty(logarithms, dtype=grad.dtype)]
        call(f"{ctx.kernel}_backward", ctx.sizes, grad.contiguous(), *tensors, *results)
        return None, None, *(x if needed else None for x, needed in zip(results, ctx.needs_input_grad[2:], strict=True))


def quantized_layer_norm(
    x: Tensor, gain: Tensor, bias: Tensor, r: Tensor, gain_grid: Grid, bias_grid: Grid, grid: Grid
) -> Tensor:
    return LayerNorm.apply(x, gain, bias, r, (*gain_grid, *bias_grid, *grid))  # type: ignore[no-any-return]


class LayerNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, bias: Tensor, r: Tensor, grids: tuple[int, ...]) -> Tensor:
        inputs = x.contiguous(), gain.contiguous(), bias.contiguous()
        ctx.sizes = x.shape[:-1].numel(), x.shape[-1], *grids
        ctx.save_for_backward(*inputs)
        y = like(x)
        call("quantized_layer_norm_forward", ctx.sizes, *inputs, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, gain, bias = ctx.saved_tensors
        to_x, to_r = like(x), torch.empty((), dtype=x.dtype)
        to_channels = torch.empty((2, -(ctx.sizes[0] // -ROWS), x.shape[-1]), dtype=x.dtype)
        results = to_x, to_channels[0], to_channels[1], to_r
        call("quantized_layer_norm_backward", ctx.sizes, grad.contiguous(), x, gain, bias, *results)
        to_gain, to_bias = to_channels.sum(1)
        return to_x, to_gain, to_bias, to_r, None


def quantized_shift_mix(x: Tensor, mu_grid: Grid, grid: Grid, *mus: Tensor) -> tuple[Tensor, ...]:
    """For one to three ``mus``."""
    return ShiftMix.apply(x, (*mu_grid, *grid), *mus)  # type: ignore[no-any-return]


class ShiftMix(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grids: tuple[int, ...], *mus: Tensor) -> tuple[Tensor, ...]:
        x, start, flat = x.contiguous(), x.new_zeros(x.shape[0], x.shape[2]), [mu.contiguous() for mu in mus]
        ctx.sizes = *x.shape, len(mus), *grids
        ctx.save_for_backward(x, start, *flat)
        mixed = tuple(like(x) for _ in mus)
        call("quantized_shift_mix_forward", ctx.sizes, x, start, flat, mixed)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, start, *mus = ctx.saved_tensors
        to_x, to_start = like(x), like(start)
        to_mus = torch.empty((len(mus), *start.shape), dtype=x.dtype)
        grads = tuple(grad.contiguous() for grad in grads)
        call("quantized_shift_mix_backward", ctx.sizes, x, start, mus, grads, to_x, to_start, to_mus)
        return to_x, None, *to_mus.sum(1)[:, None, None]
