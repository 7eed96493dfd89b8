"""Sequences of several contexts in one stream: which token comes when, and where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikegpt_hls.quant.format import Ints


@dataclass(frozen=True)
class Order:
    """One entry per token, in the order in which tokens are sent."""

    row: Ints  # its place in the sequences back to back
    context: Ints
    first: Ints  # 1 at a sequence's first token
    last: Ints  # of each context that has one: its last sequence

    @property
    def tuser(self) -> Ints:
        """The marker of a block's stream."""
        return self.context << 1 | self.first


def interleave(lengths: Sequence[int], contexts: int = 1, seed: int = 0) -> Order:
    """Sequence ``i`` belongs to context ``i % contexts``; a context's sequences follow each other, and the contexts'
    tokens come in random order."""
    owner = np.repeat(np.arange(len(lengths)) % contexts, lengths)
    context = np.random.default_rng(seed).permutation(owner)
    row = np.empty_like(context)
    for number in range(contexts):
        row[context == number] = np.flatnonzero(owner == number)
    starts = np.cumsum([0, *lengths[:-1]])
    used = np.arange(min(contexts, len(lengths)))
    last = used + (len(lengths) - 1 - used) // contexts * contexts
    return Order(row, context, np.isin(row, starts).astype(np.int64), last)
