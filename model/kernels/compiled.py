"""The kernels under the names of the plain functions they stand for."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

from spikegpt_hls.model.kernels.calls import call, expanded, like, new_rows, rows
from spikegpt_hls.model.kernels.quantized import (
    fake_quantize,
    quantized_layer_norm,
    quantized_product,
    quantized_shift_mix,
    quantized_sigmoid,
    quantized_squared_relu,
)

__all__ = [
    "fake_quantize",
    "gate",
    "lif_backward",
    "lif_forward",
    "quantized_layer_norm",
    "quantized_product",
    "quantized_shift_mix",
    "quantized_sigmoid",
    "quantized_squared_relu",
    "shift_mix",
    "squared_relu",
    "wkv_backward",
    "wkv_forward",
]


def lif_forward(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), rows(membrane, x)
    spikes, after = like(x), like(membrane)
    call("lif_forward", x.shape, x, membrane, spikes, after)
    return spikes, after


def lif_backward(grad: Tensor, grad_after: Tensor, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), rows(membrane, x)
    to_x, to_membrane = like(x), like(membrane)
    grads = grad.contiguous(), grad_after.contiguous()
    call("lif_backward", x.shape, *grads, x, membrane, to_x, to_membrane)
    return to_x, to_membrane


def wkv_forward(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    y, after = like(k), new_rows(k, 3)
    call("wkv_forward", k.shape, *inputs, y, *after)
    return y, after[0], after[1], after[2]


def wkv_backward(
    grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    to_channels, to_k, to_v = new_rows(k, 2), like(k), like(k)
    call("wkv_backward", k.shape, grad.contiguous(), *inputs, to_channels[0], to_channels[1], to_k, to_v)
    to_w, to_u = to_channels.sum(1)
    return to_w, to_u, to_k, to_v


def _wkv_inputs(w: Tensor, u: Tensor, k: Tensor, v: Tensor, *state: Tensor) -> list[Tensor]:
    channels = [expanded(x, k.shape[2:]) for x in (w, u)]
    return [*channels, k.contiguous(), expanded(v, k.shape), *(rows(x, k) for x in state)]


def shift_mix(x: Tensor, before: Tensor | None, *mus: Tensor) -> tuple[Tensor, ...]:
    """For one to three ``mus``."""
    return ShiftMix.apply(x, before, *mus)  # type: ignore[no-any-return]


class ShiftMix(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor | None, *mus: Tensor) -> tuple[Tensor, ...]:
        start = x.new_zeros(x.shape[0], x.shape[2]) if before is None else rows(before, x)
        x, flat = x.contiguous(), [expanded(mu, (1, 1, x.shape[2])) for mu in mus]
        mixed = tuple(like(x) for _ in mus)
        call("shift_mix_forward", (*x.shape, len(mus)), x, start, flat, mixed)
        ctx.save_for_backward(x, start, *flat)
        return mixed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, start, *mus = ctx.saved_tensors
        to_x, to_start, to_mus = like(x), like(start), new_rows(x, len(mus))
        grads = tuple(grad.contiguous() for grad in grads)
        call("shift_mix_backward", (*x.shape, len(mus)), x, start, mus, grads, to_x, to_start, to_mus)
        sums = to_mus.sum(1)[:, None, None]  # of the sequences: one (1, 1, C) for every mu
        return to_x, to_start if ctx.needs_input_grad[1] else None, *sums


def gate(r: Tensor, x: Tensor) -> Tensor:
    return Gate.apply(r, x)  # type: ignore[no-any-return]


class Gate(Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor, x: Tensor) -> Tensor:
        r, x = r.contiguous(), expanded(x, r.shape)
        y = like(r)
        call("gate_forward", (r.numel(),), r, x, y)
        ctx.save_for_backward(r, x)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        r, x = ctx.saved_tensors
        to_r, to_x = like(r), like(r)
        call("gate_backward", (r.numel(),), grad.contiguous(), r, x, to_r, to_x)
        return to_r, to_x


def squared_relu(x: Tensor) -> Tensor:
    return SquaredReLU.apply(x)  # type: ignore[no-any-return]


class SquaredReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = like(x)
        call("squared_relu_forward", (x.numel(),), x, y)
        ctx.save_for_backward(y)  # which whoever reads it keeps as well: the root of y tells relu(x)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (y,) = ctx.saved_tensors
        to_x = like(y)
        call("squared_relu_backward", (y.numel(),), grad.contiguous(), y, to_x)
        return to_x
