"""Spiking RFFN: token shift, squared ReLU, receptance (SpikeGPT ``src/model.py``, ``RWKV_ChannelMix``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.kernels import accelerated
from spikegpt_hls.model.time_mix import BlockState, gate, shift_mix, time_mix_schedule


@accelerated
def squared_relu(x: Tensor) -> Tensor:
    """``relu(x)**2``."""
    return torch.relu(x) ** 2


class ChannelMix(nn.Module):
    """``sigmoid(r) * value(relu(key(.))**2)``."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        mu = time_mix_schedule(config, layer)["time_mix_k"]
        self.time_mix_k = nn.Parameter(mu)
        self.time_mix_r = nn.Parameter(mu.clone())
        self.key = nn.Linear(config.channels, config.hidden, bias=False)
        self.receptance = nn.Linear(config.channels, config.channels, bias=False)
        self.value = nn.Linear(config.hidden, config.channels, bias=False)

    def forward(self, x: Tensor, state: BlockState) -> Tensor:
        """``x`` (B, T, C) to (B, T, C); ``state`` is brought up to date."""
        xk, xr = shift_mix(x, state.get("ffn_shift"), self.time_mix_k, self.time_mix_r)
        state["ffn_shift"] = x[:, -1].clone()  # a view would keep all of x alive
        return gate(self.receptance(xr), self.value(squared_relu(self.key(xk))))
