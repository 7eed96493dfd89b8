"""Spiking RFFN: token shift, squared ReLU, receptance (SpikeGPT ``src/model.py``, ``RWKV_ChannelMix``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.kernels import accelerated
from spikegpt_hls.model.placement import BlockState, Mixer
from spikegpt_hls.model.time_mix import gate, shift_mix, time_mix_schedule

THETA = 0.3  # before training


@accelerated
def squared_relu(x: Tensor) -> Tensor:
    """``relu(x)**2``."""
    return torch.relu(x) ** 2


class SquaredReLU(nn.Module):
    """``relu(x)**2``."""

    def forward(self, x: Tensor) -> Tensor:
        return squared_relu(x)  # type: ignore[no-any-return]


class ChannelMix(Mixer):
    """``sigmoid(r) * value(h)``: ``h = relu(key(.))**2``; spike-driven ``relu(key(.) - theta)**2``, or its spikes."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__(config, "ffn")
        mu = time_mix_schedule(config, layer)["time_mix_k"]
        self.time_mix_k = nn.Parameter(mu)
        self.time_mix_r = nn.Parameter(mu.clone())
        self.key = nn.Linear(config.channels, config.hidden_channels, bias=False)
        self.theta = nn.Parameter(torch.full((config.hidden_channels,), THETA)) if config.theta else None
        self.squared_relu = SquaredReLU() if config.hidden == "squared-relu" else None
        self.receptance = nn.Linear(config.channels, config.channels, bias=False)
        self.value = nn.Linear(config.hidden_channels, config.channels, bias=False)

    def forward(self, x: Tensor, state: BlockState) -> Tensor:
        """``x`` (B, T, C) to (B, T, C); ``state`` is brought up to date."""
        xk, xr = shift_mix(x, state.get("ffn_shift"), self.time_mix_k, self.time_mix_r)
        state["ffn_shift"] = x[:, -1].clone()  # a view would keep all of x alive
        k = self.key(self.fired("lif_k", xk, state))
        k = k if self.theta is None else k - self.theta
        h = self.squared_relu(k) if self.squared_relu else self.fired("lif_h", k, state)
        return gate(self.receptance(self.fired("lif_r", xr, state)), self.value(h))  # type: ignore[no-any-return]
