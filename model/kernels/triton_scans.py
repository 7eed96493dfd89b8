"""The scans over time in Triton, for CUDA: a program takes a block of channels of one sequence from token to token.

As on the CPU, a backward pass computes the forward states again, here into a tensor that lives as long as the call.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton reads the bodies of its kernels, and would take annotations of their arguments for types of its own.

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 32  # channels of a program: one warp, so that there are as many programs as possible


@triton.jit
def _place(time, channels, BLOCK: tl.constexpr):  # noqa: N803
    """Of this program: its channels, which of them exist, their first token, their row in (B, C)."""
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sequence = tl.program_id(0).to(tl.int64)
    return channel, channel < channels, sequence * time * channels + channel, sequence * channels + channel


@triton.jit
def _charge(v, x):
    """``h = v + (x - v)/2``, and the membrane ``(1 - s) h`` after it."""
    h = v + (x - v) * 0.5
    return h, h * tl.where(h >= 1, 0.0, 1.0)


@triton.jit
def _lif_forward(x, membrane, spikes, after, time, channels, BLOCK: tl.constexpr):  # noqa: N803
    _, inside, i, row = _place(time, channels, BLOCK)
    v = tl.load(membrane + row, inside)
    for _t in range(time):
        h, v = _charge(v, tl.load(x + i, inside))
        tl.store(spikes + i, tl.where(h >= 1, 1.0, 0.0), inside)
        i += channels
    tl.store(after + row, v, inside)


@triton.jit
def _lif_backward(grad, grad_after, x, membrane, to_x, to_membrane, time, channels, BLOCK: tl.constexpr):  # noqa: N803
    _, inside, i, row = _place(time, channels, BLOCK)
    v = tl.load(membrane + row, inside)
    for _t in range(time):
        h, v = _charge(v, tl.load(x + i, inside))
        tl.store(to_x + i, h, inside)  # until the gradient takes its place
        i += channels
    tl.debug_barrier()
    to_v = tl.load(grad_after + row, inside)
    for _t in range(time):
        i -= channels
        h = tl.load(to_x + i, inside)
        z = 3.141592653589793 * (h - 1)
        slope = 1 / (1 + z * z)
        through_reset = tl.where(h >= 1, 0.0, 1.0) - h * slope
        to_v = 0.5 * (tl.load(grad + i, inside) * slope + through_reset * to_v)
        tl.store(to_x + i, to_v, inside)
    tl.store(to_membrane + row, to_v, inside)


@triton.jit
def _output(a, b, p, u, k, v):
    """``y`` of a token, and the weights of the state and of the token in it."""
    top = tl.maximum(p, u + k)
    past, now = tl.exp(p - top), tl.exp(u + k - top)
    denominator = past * b + now
    past, now = past / denominator, now / denominator
    return past * a + now * v, past, now


@triton.jit
def _weights(p, w, k):
    """The exponent after a token, and the weights of the state before it and of the token in the state after it."""
    after = tl.maximum(p + w, k)
    return after, tl.exp(p + w - after), tl.exp(k - after)


@triton.jit
def _wkv_forward(w, u, k, v, a, b, p, y, after, time, channels, BLOCK: tl.constexpr):  # noqa: N803
    channel, inside, i, row = _place(time, channels, BLOCK)
    decay, bonus = tl.load(w + channel, inside), tl.load(u + channel, inside)
    num, den, top = tl.load(a + row, inside), tl.load(b + row, inside), tl.load(p + row, inside)
    for _t in range(time):
        key, value = tl.load(k + i, inside), tl.load(v + i, inside)
        mean, _, _ = _output(num, den, top, bonus, key, value)
        tl.store(y + i, mean, inside)
        top, fade, weight = _weights(top, decay, key)
        num, den = fade * num + weight * value, fade * den + weight
        i += channels
    rows = tl.num_programs(0) * channels
    tl.store(after + row, num, inside)
    tl.store(after + rows + row, den, inside)
    tl.store(after + 2 * rows + row, top, inside)


@triton.jit
def _wkv_backward(
    grad,
    w,
    u,
    k,
    v,
    a,
    b,
    p,
    nums,
    dens,
    tops,
    to_w,
    to_u,
    to_k,
    to_v,
    time,
    channels,
    BLOCK: tl.constexpr,  # noqa: N803
):
    channel, inside, i, row = _place(time, channels, BLOCK)
    decay, bonus = tl.load(w + channel, inside), tl.load(u + channel, inside)
    num, den, top = tl.load(a + row, inside), tl.load(b + row, inside), tl.load(p + row, inside)
    for _t in range(time):
        tl.store(nums + i, num, inside)
        tl.store(dens + i, den, inside)
        tl.store(tops + i, top, inside)
        key = tl.load(k + i, inside)
        top, fade, weight = _weights(top, decay, key)
        num, den = fade * num + weight * tl.load(v + i, inside), fade * den + weight
        i += channels
    tl.debug_barrier()
    to_a, to_b, sum_w, sum_u = num * 0, num * 0, num * 0, num * 0
    for _t in range(time):
        i -= channels
        num, den, top = tl.load(nums + i, inside), tl.load(dens + i, inside), tl.load(tops + i, inside)
        key, value, g = tl.load(k + i, inside), tl.load(v + i, inside), tl.load(grad + i, inside)
        mean, past, now = _output(num, den, top, bonus, key, value)
        _, fade, weight = _weights(top, decay, key)
        to_bonus = g * now * (value - mean)
        tl.store(to_k + i, to_bonus + weight * (to_a * value + to_b), inside)
        tl.store(to_v + i, g * now + weight * to_a, inside)
        sum_u += to_bonus
        sum_w += fade * (to_a * num + to_b * den)
        to_a, to_b = g * past + fade * to_a, fade * to_b - g * past * mean
    tl.store(to_w + row, sum_w, inside)
    tl.store(to_u + row, sum_u, inside)


#: Each product and sum rounded by itself, as a LIF's are.
UNFUSED = {"enable_fp_fusion": False}


def _run(kernel: Any, like: Tensor, *tensors: Tensor, **options: bool) -> None:
    batch, time, channels = like.shape
    with torch.cuda.device_of(like):
        kernel[(batch, triton.cdiv(channels, BLOCK))](*tensors, time, channels, BLOCK=BLOCK, num_warps=1, **options)


def _rows(x: Tensor, like: Tensor) -> Tensor:
    """``x`` as (B, C), one row per sequence of ``like`` (B, T, C)."""
    return x.expand(like.shape[0], like.shape[2]).contiguous()


def lif_forward(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), _rows(membrane, x)
    spikes, after = torch.empty_like(x), torch.empty_like(membrane)
    _run(_lif_forward, x, x, membrane, spikes, after, **UNFUSED)
    return spikes, after


def lif_backward(grad: Tensor, grad_after: Tensor, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    x, membrane = x.contiguous(), _rows(membrane, x)
    to_x, to_membrane = torch.empty_like(x), torch.empty_like(membrane)
    grads = grad.contiguous(), grad_after.contiguous()
    _run(_lif_backward, x, *grads, x, membrane, to_x, to_membrane, **UNFUSED)
    return to_x, to_membrane


def wkv_forward(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    y, after = torch.empty_like(inputs[2]), k.new_empty(3, k.shape[0], k.shape[2])
    _run(_wkv_forward, k, *inputs, y, after)
    return y, after[0], after[1], after[2]


def wkv_backward(
    grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = _wkv_inputs(w, u, k, v, a, b, p)
    states, to_k, to_v = k.new_empty(3, *k.shape), torch.empty_like(inputs[2]), torch.empty_like(inputs[2])
    to_channels = k.new_empty(2, k.shape[0], k.shape[2])
    _run(_wkv_backward, k, grad.contiguous(), *inputs, *states, *to_channels, to_k, to_v)
    to_w, to_u = to_channels.sum(1)
    return to_w, to_u, to_k, to_v


def _wkv_inputs(w: Tensor, u: Tensor, k: Tensor, v: Tensor, *state: Tensor) -> list[Tensor]:
    channels = [x.expand(k.shape[2]).contiguous() for x in (w, u)]
    return [*channels, k.contiguous(), v.expand_as(k).contiguous(), *(_rows(x, k) for x in state)]
