"""Text from any network with ``step``: one token at a time, each fed back with the state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.sampling import Sampler


class Stepwise(Protocol):
    """What generation needs of a network."""

    def step(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...


def generate(network: Stepwise, prompt: Sequence[int], tokens: int, sampler: Sampler) -> Iterator[int]:
    """The ``tokens`` ids that follow those of ``prompt``, as they are picked; nothing is kept but the state."""
    if not len(prompt):
        raise ModelError("a prompt needs at least 1 token")
    return _generate(network, prompt, tokens, sampler)


def _generate(network: Stepwise, prompt: Sequence[int], tokens: int, sampler: Sampler) -> Iterator[int]:
    state: Any = None
    fed = list(prompt)
    with torch.no_grad():
        for _ in range(tokens):
            for token in fed:
                logits, state = network.step(torch.tensor([token]), state)
            fed = [sampler.pick(logits[0].numpy())]
            yield fed[0]


def until(texts: Iterable[str], stop: str) -> Iterator[str]:
    """``texts`` up to where ``stop`` appears; what may be its beginning is held back until that is known."""
    held = ""
    for text in texts:
        held += text
        if stop in held:
            yield held[: held.index(stop)]
            return
        kept = next(n for n in range(min(len(stop) - 1, len(held)), -1, -1) if stop.startswith(held[len(held) - n :]))
        yield held[: len(held) - kept]
        held = held[len(held) - kept :]
    yield held
