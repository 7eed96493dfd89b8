"""SpikeGPT (arXiv 2302.13939; ``ridgerchu/SpikeGPT``, ``src/model.py``), and the placement that it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.channel_mix import ChannelMix
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.lif import SpikeFunction
from spikegpt_hls.model.placement import BlockState, Mixer
from spikegpt_hls.model.time_mix import TimeMix
from spikegpt_hls.model.weights import geometry, load_exactly, read_tensors

#: One ``BlockState`` per block.
State = list[BlockState]


class Block(Mixer):
    """``x = x + att(ln1(x));  x = x + ffn(ln2(x))``, with neurons behind the mixers or inside them."""

    dropout = 0.0  # share of what a mixer sends that training leaves out

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__(config, "")
        if layer == 0:
            self.ln0 = nn.LayerNorm(config.channels)
        self.ln1 = nn.LayerNorm(config.channels)
        self.ln2 = nn.LayerNorm(config.channels)
        self.att = TimeMix(config, layer)
        self.ffn = ChannelMix(config, layer)

    def forward(self, x: Tensor, state: BlockState) -> Tensor:
        """``x`` (B, T, C) to (B, T, C); ``state`` is brought up to date."""
        if hasattr(self, "ln0"):
            x = self.ln0(x)
        x = x + self._dropped(self.fired("lif1", self.att(self.ln1(x), state), state))
        return x + self._dropped(self.fired("lif2", self.ffn(self.ln2(x), state), state))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class SpikeGPT(nn.Module):
    """A language model with neurons in its blocks (``config.sites``): ids (B, T) to logits (B, T, outputs)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.emb = nn.Embedding(config.vocabulary, config.channels)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.ln_out = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, config.outputs, bias=False)
        initialise(self)

    @classmethod
    def from_pretrained(cls, path: str | Path, classes: int | None = None, **kind: Any) -> Self:
        """The network in a checkpoint with the released names (``read_tensors``); ModelError says what is wrong.

        ``classes`` is named for a classifier, whose head has that many rows; a language model's has the vocabulary's.
        ``kind``: neurons, placement and hidden, which no tensor tells; the released network's where they are not named.
        """
        tensors = read_tensors(Path(path))
        with torch.device("meta"):  # nothing is initialised that the file overwrites
            model = cls(geometry(tensors, Path(path).name, classes, **kind))
        load_exactly(model, tensors, Path(path).name)
        return model

    def forward(self, ids: Tensor) -> Tensor:
        """Whole sequences from their first token on."""
        return self.run(ids)[0]

    def run(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of ``ids`` (B, T) continuing from ``state``, and the state after the last token."""
        after = [dict(block) for block in state] if state else [BlockState() for _ in self.blocks]
        x = SpikeFunction.apply(self.emb(ids))
        for block, block_state in zip(self.blocks, after, strict=True):
            x = block(x, block_state)
        return self.head(self.ln_out(x)), after

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One token: ids (B,) to logits (B, vocabulary), and the state after it."""
        logits, state = self.run(ids[:, None], state)
        return logits[:, 0], state


def initialise(model: SpikeGPT) -> None:
    """Orthogonal matrices; keys and receptances start at zero, so that time and channel mixing begin as plain means.

    Unlike the released code, what a LIF reads does not start at zero: spikes come from the first step on. The embedding
    is wide enough that its bits do not all flip at once.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.3)
        elif name.endswith(("att.key", "receptance")):
            nn.init.zeros_(module.weight)
        elif isinstance(module, nn.Linear):
            gain = max(1.0, module.out_features / module.in_features) ** 0.5
            nn.init.orthogonal_(module.weight, gain=0.5 * gain if name == "head" else gain)


def parameter_count(module: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
