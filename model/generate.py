"""Text from any network with ``step``: one token at a time, each fed back with the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.sampling import Sampler


class Stepwise(Protocol):
    """What generation needs of a network."""

    def step(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...


def generate(network: Stepwise, prompt: bytes, tokens: int, sampler: Sampler) -> Iterator[int]:
    """The ``tokens`` ids that follow ``prompt``, as they are picked."""
    if not prompt:
        raise ModelError("a prompt needs at least 1 byte")
    state: Any = None
    with torch.no_grad():
        fed = list(prompt)
        for _ in range(tokens):
            for token in fed:
                logits, state = network.step(torch.tensor([token]), state)
            fed = [sampler.pick(logits[0].numpy())]
            yield fed[0]
