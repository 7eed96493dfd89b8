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
def lif_backward(grad: Tensor, grad_after: Tensor, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of ``x`` and of the first membrane from those of the spikes and of the last membrane."""
    h, _ = charges(x, membrane)
    slope = arctan_slope(h - 1)
    through_reset = (h < 1).to(h.dtype) - h * slope  # of the membrane after a token
    to_x, to_membrane = grad.transpose(0, 1) * slope, grad_after
    for t in range(h.shape[0] - 1, -1, -1):
        to_membrane = to_x[t].addcmul_(through_reset[t], to_membrane).mul_(0.5)  # x and v weigh alike in h
    return to_x.transpose(0, 1), to_membrane.clone()


def charges(x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
    """``h`` (T, B, C) of every token, and the membrane after the last.

    Every operation is rounded, as in spikingjelly's ``v + (x - v) / tau`` and ``(1 - s) h``: ``torch.lerp`` rounds
    otherwise, and after an infinite ``h`` a neuron is silent.
    """
    inputs = x.transpose(0, 1).contiguous()
    charged = torch.empty_like(inputs)
    for t in range(inputs.shape[0]):
        h = torch.add(membrane, (inputs[t] - membrane) / 2, out=charged[t])
        membrane = h * (h < 1)
    return charged, membrane


class LIFFunction(torch.autograd.Function):
    """Spikes and the last membrane for ``x`` (B, T, C) from ``membrane`` (B, C), in float32 or float64."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        inputs = in_full_precision(x), in_full_precision(membrane)
        ctx.save_for_backward(*inputs)
        return lif_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_after: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return lif_backward(grad, grad_after, *ctx.saved_tensors)


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, one per channel; no parameters. They read ``2**drive * x``."""

    def __init__(self, drive: int = 0) -> None:
        super().__init__()
        self.drive = drive

    def forward(self, x: Tensor, membrane: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``x`` (B, T, C) and the membrane before it (B, C) to spikes (B, T, C) and the membrane after."""
        membrane = x.new_zeros(x.shape[0], x.shape[2]) if membrane is None else membrane
        return LIFFunction.apply(x * 2**self.drive if self.drive else x, membrane)  # type: ignore[no-any-return]
