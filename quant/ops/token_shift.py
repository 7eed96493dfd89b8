"""Token shift: ``prev + mu * (x - prev)``, where ``prev`` is the token before, zero at first (RWKV's time mixing)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, requantize
from spikegpt_hls.quant.ops.base import Operation, State


@dataclass(frozen=True)
class TokenShift(Operation):
    """Parameter ``mu`` (channels,); state ``prev``, the token before."""

    params: ClassVar[tuple[str, ...]] = ("mu",)
    state: ClassVar[tuple[str, ...]] = ("prev",)

    channels: int
    x: Format
    mu: Format

    def state_format(self, name: str) -> Format:
        return self.x

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        (x,) = streams
        prev = np.concatenate([state["prev"][:, None], x[:, :-1]], axis=1)
        mixed = (prev << self.mu.frac) + params["mu"] * (x - prev)
        return requantize(mixed, self.x.frac + self.mu.frac, self.out), {"prev": x[:, -1]}
