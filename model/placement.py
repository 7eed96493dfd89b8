"""Where neurons stand in a block, by placement; everywhere else a current passes as it is.

``canonical``: behind each mixer (the released network), so that blocks add spikes and no matrix reads one.
``spike-driven``: in front of every matrix, so that a silent input costs neither an addition nor a weight.
"""

from __future__ import annotations

from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.lif import LIF

#: What a block remembers between tokens: tensors (B, C) by name; empty before the first token.
BlockState = dict[str, Tensor]


class Mixer(nn.Module):
    """A part of a block, or with no name the block itself, with neurons at the sites that the configuration names."""

    def __init__(self, config: Config, part: str) -> None:
        super().__init__()
        self.part = part
        for site in config.sites:
            owner, _, name = site.rpartition(".")
            if owner == part:
                setattr(self, name, LIF(config.drive))

    def fired(self, site: str, current: Tensor, state: BlockState) -> Tensor:
        """The spikes that ``current`` (B, T, C) raises at a site, or ``current`` itself where no neuron stands."""
        if not hasattr(self, site):
            return current
        key = f"{self.part}.{site}" if self.part else site
        spikes, state[key] = getattr(self, site)(current, state.get(key))
        return spikes  # type: ignore[no-any-return]
