"""Token shift: ``prev + mu * (x - prev)``, where ``prev`` is the token before, zero at first (RWKV's time mixing)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from spikegpt_hls.quant.format import Format, Ints, requantize
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats, Rule, Signal, not_finer_than


@dataclass(frozen=True)
class TokenShift(Operation):
    """Parameter ``mu`` (channels,); state ``prev``, the token before."""

    params: ClassVar[tuple[str, ...]] = ("mu",)
    state: ClassVar[tuple[str, ...]] = ("prev",)
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("mu", "have no more fraction bits than bits", lambda op: op.mu.frac <= op.mu.bits),
        not_finer_than("x and mu together", lambda op: op.x.frac + op.mu.frac),
    )

    channels: Channels
    x: Signal
    mu: Annotated[Format, Formats((1, 15), (0, 16), (True,))]

    def state_format(self, name: str) -> Format:
        return self.x

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        (x,) = streams
        prev = np.concatenate([state["prev"][:, None], x[:, :-1]], axis=1)
        mixed = (prev << self.mu.frac) + params["mu"] * (x - prev)
        return requantize(mixed, self.x.frac + self.mu.frac, self.out), {"prev": x[:, -1]}
