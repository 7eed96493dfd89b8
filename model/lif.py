"""LIF: ``h = v + (x - v)/2;  s = (h >= 1);  v = 0 if s else h`` over time, with the arctan surrogate (alpha 2).

SpikeGPT ``src/model.py``: spikingjelly's ``MultiStepLIFNode(tau=2., surrogate_function=ATan(alpha=2.))``. The
derivative of the Heaviside is replaced by ``1 / (1 + (pi (h - 1))**2)``; its gradient flows through the reset.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikegpt_hls.model.kernels import accelerated, in_full_precision

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


@accelerated
def lif_forward(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and the last membrane for ``x`` (B, T, C) from ``membrane`` (B, C)."""
    charged, membrane = charges(x, membrane)
    return (charged >= 1).to(x.dtype).transpose(0, 1), membrane


@accelerated
def lif_backward(grad: Tensor, x: Tensor, membrane: Tensor) -> Tensor:
    """The gradient of ``x`` from that of the spikes."""
    h, _ = charges(x, membrane)
    slope = arctan_slope(h - 1)
    through_reset = 0.5 * ((h < 1).to(h.dtype) - h * slope)  # of the next charge
    grads = grad.transpose(0, 1) * slope
    for t in range(h.shape[0] - 2, -1, -1):
        grads[t].addcmul_(through_reset[t], grads[t + 1])
    return (0.5 * grads).transpose(0, 1)


def charges(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    """``h`` (T, B, C) of every token, and the membrane after the last."""
    inputs = x.transpose(0, 1).contiguous()
    charged = torch.empty_like(inputs)
    for t in range(inputs.shape[0]):
        h = torch.lerp(membrane, inputs[t], 0.5, out=charged[t])  # v + (x - v)/2
        membrane = torch.where(h >= 1, 0.0, h)
    return charged, membrane


class LIFFunction(torch.autograd.Function):
    """Spikes and the last membrane for ``x`` (B, T, C) from ``membrane`` (B, C), in float32 or float64."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        inputs = in_full_precision(x), in_full_precision(membrane)
        ctx.save_for_backward(*inputs)
        spikes, after = lif_forward(*inputs)
        ctx.mark_non_differentiable(after)
        return spikes, after

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return lif_backward(grad, *ctx.saved_tensors), None


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, one per channel; no parameters."""

    def forward(self, x: Tensor, membrane: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``x`` (B, T, C) and the membrane before it (B, C) to spikes (B, T, C) and the membrane after."""
        membrane = x.new_zeros(x.shape[0], x.shape[2]) if membrane is None else membrane
        return LIFFunction.apply(x, membrane)  # type: ignore[no-any-return]
