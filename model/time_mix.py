"""Spiking RWKV: token shift, key, value, receptance, WKV, output (SpikeGPT ``src/model.py``, ``RWKV_TimeMix``)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.kernels import accelerated
from spikegpt_hls.model.placement import BlockState, Mixer
from spikegpt_hls.model.wkv import wkv


def token_shift(x: Tensor, before: Tensor | None) -> Tensor:
    """``x`` (B, T, C) one token later, led by ``before`` (B, C) or zero."""
    first = torch.zeros_like(x[:, :1]) if before is None else before[:, None]
    return torch.cat([first, x[:, :-1]], 1)


def mix(x: Tensor, shifted: Tensor, mu: Tensor) -> Tensor:
    """``x * mu + shifted * (1 - mu)``."""
    return torch.lerp(shifted, x, mu)


@accelerated
def shift_mix(x: Tensor, before: Tensor | None, *mus: Tensor) -> tuple[Tensor, ...]:
    """``x`` (B, T, C) mixed with the token before it, once with every ``mu`` (1, 1, C)."""
    shifted = token_shift(x, before)
    return tuple(mix(x, shifted, mu) for mu in mus)


@accelerated
def gate(r: Tensor, x: Tensor) -> Tensor:
    """``sigmoid(r) * x``."""
    return torch.sigmoid(r) * x


class TimeMix(Mixer):
    """``output(sigmoid(r) * wkv(k, v))``."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__(config, "att")
        channels = config.channels
        for name, value in time_mix_schedule(config, layer).items():
            setattr(self, name, nn.Parameter(value))
        for name in ("key", "value", "receptance", "output"):
            setattr(self, name, nn.Linear(channels, channels, bias=False))

    def forward(self, x: Tensor, state: BlockState) -> Tensor:
        """``x`` (B, T, C) to (B, T, C); ``state`` is brought up to date."""
        xk, xv, xr = shift_mix(x, state.get("att_shift"), self.time_mix_k, self.time_mix_v, self.time_mix_r)
        state["att_shift"] = x[:, -1].clone()  # a view would keep all of x alive
        k, v = self.key(self.fired("lif_k", xk, state)), self.value(self.fired("lif_v", xv, state))
        r = self.receptance(self.fired("lif_r", xr, state))
        before = (state["a"], state["b"], state["p"]) if "a" in state else None
        y, (state["a"], state["b"], state["p"]) = wkv(self.time_decay, self.time_first, k, v, before)
        return self.output(self.fired("lif_o", gate(r, y), state))  # type: ignore[no-any-return]


def time_mix_schedule(config: Config, layer: int) -> dict[str, Tensor]:
    """RWKV-4's initial values: slow and fast channels side by side, later layers looking less at the token before."""
    channels = config.channels
    depth = layer / max(config.layers - 1, 1)  # 0 to 1
    rest = 1 - layer / config.layers  # 1 to almost 0
    position = torch.arange(channels) / max(channels - 1, 1)
    fraction = (torch.arange(channels) / channels).view(1, 1, channels)
    zigzag = 0.5 * ((torch.arange(channels) + 1) % 3 - 1)
    return {
        "time_decay": -5 + 8 * position ** (0.7 + 1.3 * depth),
        "time_first": math.log(0.3) + zigzag,
        "time_mix_k": fraction**rest,
        "time_mix_v": fraction**rest + 0.3 * depth,
        "time_mix_r": fraction ** (0.5 * rest),
    }
