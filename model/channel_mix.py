"""Spiking RFFN: token shift, squared ReLU, receptance (SpikeGPT ``src/model.py``, ``RWKV_ChannelMix``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.time_mix import BlockState, mix, time_mix_schedule, token_shift


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
        shifted = token_shift(x, state.get("ffn_shift"))
        state["ffn_shift"] = x[:, -1]
        k = torch.relu(self.key(mix(x, shifted, self.time_mix_k))) ** 2
        r = self.receptance(mix(x, shifted, self.time_mix_r))
        return torch.sigmoid(r) * self.value(k)  # type: ignore[no-any-return]
