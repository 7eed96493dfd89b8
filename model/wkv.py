"""WKV in floating point (SpikeGPT ``src/model.py``, ``WKV``), with ``w = -exp(time_decay)`` and ``u = time_first``:

    y_t = (a + exp(u + k_t) v_t) / (b + exp(u + k_t));   a <- exp(w) a + exp(k_t) v_t;   b <- exp(w) b + exp(k_t)

``a`` and ``b`` are kept divided by ``exp(p)``, where ``p`` is the running maximum of the exponents, so nothing can
overflow. Given ``p``, every weight is known for all tokens at once, and what is left to scan over time is one
multiply-add, forward as well as backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: ``(a, b, p)``, each (B, C).
WKVState = tuple[Tensor, Tensor, Tensor]
EMPTY = -1e38  # the exponent of a state without a token


def initial_wkv_state(k: Tensor) -> WKVState:
    zero = k.new_zeros(k.shape[0], k.shape[2])
    return zero, zero, zero + EMPTY


def _exponents(w: Tensor, k: Tensor, p: Tensor) -> Tensor:
    """The running maximum before each token and after the last, (T + 1, B, C)."""
    maxima = k.new_empty(k.shape[0] + 1, *p.shape)
    maxima[0] = p
    for t in range(k.shape[0]):
        torch.maximum(maxima[t] + w, k[t], out=maxima[t + 1])
    return maxima


class WKVFunction(torch.autograd.Function):
    """``y`` (B, T, C) and the state after, from ``w``, ``u`` (C,), ``k``, ``v`` (B, T, C) and the state before."""

    @staticmethod
    def forward(
        ctx: Any, w: Tensor, u: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, p: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        k, v = k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()  # (T, B, C)
        maxima = _exponents(w, k, p)
        fade = torch.exp(maxima[:-1] + w - maxima[1:])
        weight = torch.exp(k - maxima[1:])
        sums = k.new_empty(k.shape[0] + 1, 2, *p.shape)  # a and b side by side: one scan serves both
        sums[0, 0], sums[0, 1] = a, b
        terms = torch.stack([weight * v, weight], 1)
        for t in range(k.shape[0]):
            torch.addcmul(terms[t], fade[t], sums[t], out=sums[t + 1])
        top = torch.maximum(maxima[:-1], u + k)
        past, now = torch.exp(maxima[:-1] - top), torch.exp(u + k - top)
        denominator = past * sums[:-1, 1] + now
        y = (past * sums[:-1, 0] + now * v) / denominator
        ctx.save_for_backward(v, y, fade, weight, sums, past / denominator, now / denominator)
        last = (sums[-1, 0].clone(), sums[-1, 1].clone(), maxima[-1].clone())
        ctx.mark_non_differentiable(*last)
        return y.transpose(0, 1), *last

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        v, y, fade, weight, sums, past, now = ctx.saved_tensors
        grad = grad.transpose(0, 1)
        # gradients of a and b before each token, multiplied by exp(p): bounded as a and b are
        adjoint = torch.zeros_like(sums)
        adjoint[:-1, 0] = grad * past
        adjoint[:-1, 1] = -adjoint[:-1, 0] * y
        for t in range(v.shape[0] - 1, -1, -1):
            adjoint[t].addcmul_(fade[t], adjoint[t + 1])
        to_a, to_b = adjoint[1:, 0], adjoint[1:, 1]
        bonus = grad * now * (v - y)
        grad_k = bonus + weight * (to_a * v + to_b)
        grad_v = grad * now + weight * to_a
        grad_w = (fade * (to_a * sums[:-1, 0] + to_b * sums[:-1, 1])).sum((0, 1))
        return grad_w, bonus.sum((0, 1)), grad_k.transpose(0, 1), grad_v.transpose(0, 1), None, None, None


def wkv(
    time_decay: Tensor, time_first: Tensor, k: Tensor, v: Tensor, state: WKVState | None = None
) -> tuple[Tensor, WKVState]:
    """``y`` (B, T, C) and the state after the last token, from ``k`` and ``v`` (B, T, C)."""
    a, b, p = initial_wkv_state(k) if state is None else state
    y, *after = WKVFunction.apply(-torch.exp(time_decay), time_first, k, v, a, b, p)
    return y, (after[0], after[1], after[2])
