"""The kernels of ``kernels.cpp`` under the names of the plain functions they stand for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from spikegpt_hls.model.kernels import build

REALS = {torch.float32: "float", torch.float64: "double"}


def available(dtype: torch.dtype) -> bool:
    """Whether there are kernels for tensors of this type."""
    return dtype in REALS and build.library(REALS[dtype]) is not None


def _call(kernel: str, sizes: Sequence[int], *tensors: Tensor | Sequence[Tensor]) -> None:
    """The first tensor tells the type; all are contiguous, and have the shapes that the kernel expects."""
    library = build.library(REALS[tensors[0].dtype])  # type: ignore[union-attr]
    function = getattr(library, kernel)
    if function.argtypes is None:  # ctypes would pass integers in 32 bits
        function.argtypes = [ctypes.c_long] * (len(sizes) + 1) + [ctypes.c_void_p] * len(tensors)
    function(*sizes, torch.get_num_threads(), *map(_pointer, tensors))


def _pointer(tensors: Tensor | Sequence[Tensor]) -> Any:
    if isinstance(tensors, Tensor):
        return tensors.data_ptr()
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _rows(x: Tensor, like: Tensor) -> Tensor:
    """``x`` as (B, C), one row per sequence of ``like`` (B, T, C)."""
    return x.expand(like.shape[0], like.shape[2]).contiguous()


def _like(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype)


def _new_rows(like: Tensor, count: int) -> Tensor:
    """Room for ``count`` times (B, C)."""
    return torch.empty((count, like.shape[0], like.shape[2]), dtype=like.dtype)


def lif_forward(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), _rows(membrane, x)
    spikes, after = _like(x), _like(membrane)
    _call("lif_forward", x.shape, x, membrane, spikes, after)
    return spikes, after


def lif_backward(grad: Tensor, grad_after: Tensor, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), _rows(membrane, x)
    to_x, to_membrane = _like(x), _like(membrane)
    grads = grad.contiguous(), grad_after.contiguous()
    _call("lif_backward", x.shape, *grads, x, membrane, to_x, to_membrane)
    return to_x, to_membrane


def wkv_forward(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    y, after = _like(k), _new_rows(k, 3)
    _call("wkv_forward", k.shape, *inputs, y, *after)
    return y, after[0], after[1], after[2]


def wkv_backward(
    grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    to_channels, to_k, to_v = _new_rows(k, 2), _like(k), _like(k)
    _call("wkv_backward", k.shape, grad.contiguous(), *inputs, to_channels[0], to_channels[1], to_k, to_v)
    to_w, to_u = to_channels.sum(1)
    return to_w, to_u, to_k, to_v


def _wkv_inputs(w: Tensor, u: Tensor, k: Tensor, v: Tensor, *state: Tensor) -> list[Tensor]:
    channels = [x.expand(k.shape[2]).contiguous() for x in (w, u)]
    return [*channels, k.contiguous(), v.expand_as(k).contiguous(), *(_rows(x, k) for x in state)]


def shift_mix(x: Tensor, before: Tensor | None, *mus: Tensor) -> tuple[Tensor, ...]:
    """For one to three ``mus``."""
    return ShiftMix.apply(x, before, *mus)  # type: ignore[no-any-return]


class ShiftMix(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, before: Tensor | None, *mus: Tensor) -> tuple[Tensor, ...]:
        start = x.new_zeros(x.shape[0], x.shape[2]) if before is None else _rows(before, x)
        x, flat = x.contiguous(), [mu.expand(1, 1, x.shape[2]).contiguous() for mu in mus]
        mixed = tuple(_like(x) for _ in mus)
        _call("shift_mix_forward", (*x.shape, len(mus)), x, start, flat, mixed)
        ctx.save_for_backward(x, start, *flat)
        return mixed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, start, *mus = ctx.saved_tensors
        to_x, to_start, to_mus = _like(x), _like(start), _new_rows(x, len(mus))
        grads = tuple(grad.contiguous() for grad in grads)
        _call("shift_mix_backward", (*x.shape, len(mus)), x, start, mus, grads, to_x, to_start, to_mus)
        sums = to_mus.sum(1)[:, None, None]  # of the sequences: one (1, 1, C) for every mu
        return to_x, to_start if ctx.needs_input_grad[1] else None, *sums


def gate(r: Tensor, x: Tensor) -> Tensor:
    return Gate.apply(r, x)  # type: ignore[no-any-return]


class Gate(Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor, x: Tensor) -> Tensor:
        r, x = r.contiguous(), x.expand_as(r).contiguous()
        y = _like(r)
        _call("gate_forward", (r.numel(),), r, x, y)
        ctx.save_for_backward(r, x)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        r, x = ctx.saved_tensors
        to_r, to_x = _like(r), _like(r)
        _call("gate_backward", (r.numel(),), grad.contiguous(), r, x, to_r, to_x)
        return to_r, to_x


def squared_relu(x: Tensor) -> Tensor:
    return SquaredReLU.apply(x)  # type: ignore[no-any-return]


class SquaredReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = _like(x)
        _call("squared_relu_forward", (x.numel(),), x, y)
        ctx.save_for_backward(y)  # which whoever reads it keeps as well: the root of y tells relu(x)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (y,) = ctx.saved_tensors
        to_x = _like(y)
        _call("squared_relu_backward", (y.numel(),), grad.contiguous(), y, to_x)
        return to_x
