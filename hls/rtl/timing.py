"""The timing of each block, in the terms of ``docs/streams.md``: what the SystemVerilog does, as constants."""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.hls.dataflow import Block


@dataclass(frozen=True)
class Timing:
    """Cycles. ``latency`` and ``credits`` of the output pipe; ``loop`` of the state (0: stateless)."""

    latency: int
    credits: int
    loop: int = 0
    stats: int = 0  # layernorm: from a token's last beat accepted to its first beat issued
    result: int = 0  # linear: from a result word's last step to its first beat issued; shared: to its leaving
    ask: int = 0  # shared linear: from what a request waited for to the cycle in which the engine sees it
    grant: int = 0  # shared linear: from there to the word's first step, at the soonest
    words: int = 2  # linear: result words that may have begun and not yet left
    banks: int = 2  # linear: tokens that wait for its steps


_STATELESS = {"BinaryEmbedding": 1, "Sigmoid": 1, "Residual": 3, "Gate": 4, "SquaredReLU": 3, "GradedSpike": 4}


def timing(block: Block) -> Timing:
    """Timing of a block; a fork is a pipe of latency 0 into FIFOs of two places."""
    match block.kind:
        case "Fork" | "Ring":
            return Timing(0, 2)
        case "LIF":
            return Timing(3, 5, loop=3)
        case "TokenShift":
            return Timing(5, 7, loop=1)
        case "LayerNorm":
            return Timing(12, 14, stats=17)
        case "WKV":
            v, out = block.format_in[1], block.format_out
            latency = 15 + v.bits - v.signed + out.frac - v.frac  # one cycle per bit of the largest quotient
            return Timing(latency, latency + 2, loop=10)
        case "Linear" if block.rows:
            return Timing(0, 8)
        case "Linear" if block.engine:
            return Timing(0, 2 * block.folding.word // block.lanes, result=11, ask=2, grant=3)
        case "Linear" if block.events:
            fold, result = block.folding, 13
            issues = fold.word // block.lanes
            words = 2 + -(-(result - 1) // max(fold.rows_per_word, issues))  # that follow one another without a gap
            banks = 8 if block.channels_in > block.channels_out else 2  # the tokens of a hidden layer differ most
            return Timing(0, words * issues, result=result, words=words, banks=banks)
        case "Linear":
            return Timing(3, 5, result=6)
        case kind:
            return Timing(_STATELESS[kind], _STATELESS[kind] + 2)


def interval(block: Block, events: float | None = None) -> float:
    """Cycles per token in the steady state of a block by itself, never starved and never blocked.

    ``events``: inputs of a token that are not 0, of a Linear that they drive; None: all.
    """
    beats = max(block.beats_in, block.beats_out)
    times = timing(block)
    if block.kind == "LayerNorm":  # two banks: two tokens per round of accepting, statistics and issuing
        return max(beats, (2 * beats + times.stats - 1) / 2)
    if block.kind == "Linear":
        folding = block.folding
        issues = folding.word // block.lanes
        if block.engine:  # as if it had the engine to itself
            overhead = times.ask + times.grant
            round_trip = folding.steps_per_word + times.result + issues - 2 + overhead
            return max(
                beats, folding.words * max(folding.steps_per_word, round_trip / 2),
                (block.beats_in + folding.steps + overhead) / 2,
            )  # fmt: skip
        steps: float = folding.steps
        if block.events and events is not None:
            steps = max(events, 1) * folding.rows
        if block.events:
            return max(beats, steps)
        round_trip = folding.steps_per_word + times.result + issues - 1  # of a result word
        return max(beats, steps, folding.words * round_trip / times.words, (block.beats_in + steps) / 2)
    return max(beats, times.loop)
