"""LIF: ``h = v + (x - v)/2;  s = (h >= 1);  v = 0 if s else h`` over time, with the arctan surrogate (alpha 2).

SpikeGPT ``src/model.py``: spikingjelly's ``MultiStepLIFNode(tau=2., surrogate_function=ATan(alpha=2.))``. The
derivative of the Heaviside is replaced by ``1 / (1 + (pi (h - 1))**2)``; its gradient flows through the reset.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

ALPHA = 2.0


def arctan_slope(x: Tensor) -> Tensor:
    """Derivative of ``arctan(pi/2 * alpha * x) / pi + 1/2``."""
    return ALPHA / 2 / (1 + (math.pi / 2 * ALPHA * x) ** 2)


class SpikeFunction(torch.autograd.Function):
    """``x >= 0`` as 0 or 1, with the arctan surrogate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad * arctan_slope(ctx.saved_tensors[0])


class LIFFunction(torch.autograd.Function):
    """Spikes and the last membrane for ``x`` (B, T, C) from ``membrane`` (B, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        inputs = x.transpose(0, 1).contiguous()  # (T, B, C)
        charged = torch.empty_like(inputs)
        v = membrane
        for t in range(inputs.shape[0]):
            h = torch.lerp(v, inputs[t], 0.5, out=charged[t])  # v + (x - v)/2
            v = torch.where(h >= 1, 0.0, h)
        spikes = (charged >= 1).to(x.dtype)
        ctx.save_for_backward(charged, spikes)
        ctx.mark_non_differentiable(v)
        return spikes.transpose(0, 1), v

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        h, spikes = ctx.saved_tensors
        slope = arctan_slope(h - 1)
        through_reset = 0.5 * (1 - spikes - h * slope)  # of the next charge
        grads = grad.transpose(0, 1) * slope
        for t in range(h.shape[0] - 2, -1, -1):
            grads[t].addcmul_(through_reset[t], grads[t + 1])
        return (0.5 * grads).transpose(0, 1), None


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, one per channel; no parameters."""

    def forward(self, x: Tensor, membrane: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``x`` (B, T, C) and the membrane before it (B, C) to spikes (B, T, C) and the membrane after."""
        membrane = x.new_zeros(x.shape[0], x.shape[2]) if membrane is None else membrane
        return LIFFunction.apply(x, membrane)  # type: ignore[no-any-return]
