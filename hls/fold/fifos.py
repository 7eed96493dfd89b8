"""How deep the FIFO in front of each input of a join has to be.

A join's two inputs come from one fork by two paths. While the longer path fills its banks and pipelines, the shorter
one has to hold every token that has entered the longer one, or the fork stalls and starves it: with less than a whole
token of room for good, with less than what the longer path holds at full rate for a while on every token. So a FIFO
is given all that the *other* path may hold, and one token more. A bank is held by at most two tokens, a word buffer or
a FIFO by two: four tokens for a LayerNorm or a Linear; other blocks hold some beats of a token in a pipeline. A Linear
driven by events may have more banks, for tokens that fire more than others: they are seldom full, and nobody waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikegpt_hls.hls.dataflow import Block

BANKED_TOKENS = 4
PIPELINE_BEATS = 8
WKV_BEATS = 40
SLACK = 2  # full rate at the FIFO itself


@dataclass(frozen=True, order=True)
class _Held:
    """The most that a path from a fork may hold."""

    tokens: int = 0
    beats: int = 0

    def through(self, block: Block) -> _Held:
        tokens = BANKED_TOKENS if block.kind in ("LayerNorm", "Linear") else 0
        return _Held(self.tokens + tokens, self.beats + (WKV_BEATS if block.kind == "WKV" else PIPELINE_BEATS))


def fifo_depths(blocks: Sequence[Block]) -> dict[str, tuple[int, ...]]:
    """By join, the depth in beats of the FIFO at each input. ``blocks`` are in topological order."""
    held: dict[str, dict[str, _Held]] = {}  # by stream, what the worst path from each fork before it holds
    depths = {}
    for block in blocks:
        paths = [held.get(stream, {}) for stream in block.inputs]
        if block.is_join:
            depths[block.name] = tuple(_depth(block, paths, port) for port in range(len(paths)))
        after: dict[str, _Held] = {}
        for path in paths:
            for fork, amount in path.items():
                after[fork] = max(after.get(fork, _Held()), amount.through(block))
        if block.kind == "Fork":
            after[block.name] = _Held()
        held.update(dict.fromkeys(block.outputs, after))
    return depths


def _depth(block: Block, paths: Sequence[dict[str, _Held]], port: int) -> int:
    others = [path for i, path in enumerate(paths) if i != port]
    # the nearest common fork is the one from which least is held
    amounts = [min(path[fork] for fork in common) for path in others if (common := path.keys() & paths[port].keys())]
    if not amounts:
        return SLACK
    worst = max(amounts)
    return (worst.tokens + 1) * (block.channels_in // block.lanes) + worst.beats + SLACK
