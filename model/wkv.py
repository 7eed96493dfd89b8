"""WKV in floating point (SpikeGPT ``src/model.py``, ``WKV``), with ``w = -exp(time_decay)`` and ``u = time_first``:

    y_t = (a + exp(u + k_t) v_t) / (b + exp(u + k_t));   a <- exp(w) a + exp(k_t) v_t;   b <- exp(w) b + exp(k_t)

``a`` and ``b`` are kept divided by ``exp(p)``, where ``p`` is the running maximum of the exponents, so nothing can
overflow. Given ``p``, every weight is known for all tokens at once, and what is left to scan over time is one
multiply-add, forward as well as backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikegpt_hls.model.kernels import accelerated, in_full_precision

#: ``(a, b, p)``, each (B, C).
WKVState = tuple[Tensor, Tensor, Tensor]
EMPTY = -1e38  # the exponent of a state without a token


def initial_wkv_state(k: Tensor) -> WKVState:
    zero = k.new_zeros(k.shape[0], k.shape[2])
    return zero, zero, zero + EMPTY


@dataclass
class Scan:
    """What the forward scan knows of every token, each (T, B, C)."""

    y: Tensor
    past: Tensor  # weights of the state and of the token in y
    now: Tensor
    fade: Tensor  # weights of the state and of the token in the state after
    weight: Tensor
    sums: Tensor  # a and b before each token and after the last (T + 1, 2, B, C)
    exponents: Tensor  # p before each token and after the last (T + 1, B, C)


def scan(w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor) -> Scan:
    """``k`` and ``v`` are (T, B, C)."""
    p = _exponents(w, k, p)
    fade, weight = torch.exp(p[:-1] + w - p[1:]), torch.exp(k - p[1:])
    sums = k.new_empty(k.shape[0] + 1, 2, *a.shape)  # a and b side by side: one scan serves both
    sums[0, 0], sums[0, 1] = a, b
    terms = torch.stack([weight * v, weight], 1)
    for t in range(k.shape[0]):
        torch.addcmul(terms[t], fade[t], sums[t], out=sums[t + 1])
    top = torch.maximum(p[:-1], u + k)
    past, now = torch.exp(p[:-1] - top), torch.exp(u + k - top)
    denominator = past * sums[:-1, 1] + now
    past, now = past / denominator, now / denominator
    return Scan(past * sums[:-1, 0] + now * v, past, now, fade, weight, sums, p)


def _exponents(w: Tensor, k: Tensor, p: Tensor) -> Tensor:
    """The running maximum before each token and after the last, (T + 1, B, C)."""
    maxima = k.new_empty(k.shape[0] + 1, *p.shape)
    maxima[0] = p
    for t in range(k.shape[0]):
        torch.maximum(maxima[t] + w, k[t], out=maxima[t + 1])
    return maxima


@accelerated
def wkv_forward(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``y`` (B, T, C) and the state after, from ``w``, ``u`` (C,), ``k``, ``v`` (B, T, C) and the state before."""
    s = scan(w, u, k.transpose(0, 1), v.transpose(0, 1), a, b, p)
    return s.y.transpose(0, 1), s.sums[-1, 0].clone(), s.sums[-1, 1].clone(), s.exponents[-1].clone()


@accelerated
def wkv_backward(
    grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of ``w``, ``u``, ``k`` and ``v`` from that of ``y``."""
    grad, v = grad.transpose(0, 1), v.transpose(0, 1)
    s = scan(w, u, k.transpose(0, 1), v, a, b, p)
    # gradients of a and b before each token, multiplied by exp(p): bounded as a and b are
    adjoint = torch.zeros_like(s.sums)
    adjoint[:-1, 0] = grad * s.past
    adjoint[:-1, 1] = -adjoint[:-1, 0] * s.y
    for t in range(v.shape[0] - 1, -1, -1):
        adjoint[t].addcmul_(s.fade[t], adjoint[t + 1])
    to_a, to_b = adjoint[1:, 0], adjoint[1:, 1]
    to_u = grad * s.now * (v - s.y)
    to_k = to_u + s.weight * (to_a * v + to_b)
    to_v = grad * s.now + s.weight * to_a
    to_w = s.fade * (to_a * s.sums[:-1, 0] + to_b * s.sums[:-1, 1])
    return to_w.sum((0, 1)), to_u.sum((0, 1)), to_k.transpose(0, 1), to_v.transpose(0, 1)


class WKVFunction(torch.autograd.Function):
    """``wkv_forward`` in float32 or float64, differentiable in ``w``, ``u``, ``k`` and ``v``."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        inputs = tuple(map(in_full_precision, inputs))
        ctx.save_for_backward(*inputs)
        y, *after = wkv_forward(*inputs)
        ctx.mark_non_differentiable(*after)
        return y, *after

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *wkv_backward(grad, *ctx.saved_tensors), None, None, None


def wkv(
    time_decay: Tensor, time_first: Tensor, k: Tensor, v: Tensor, state: WKVState | None = None
) -> tuple[Tensor, WKVState]:
    """``y`` (B, T, C) and the state after the last token, from ``k`` and ``v`` (B, T, C)."""
    a, b, p = initial_wkv_state(k) if state is None else state
    y, *after = WKVFunction.apply(-torch.exp(time_decay), time_first, k, v, a, b, p)
    return y, (after[0], after[1], after[2])
