"""The turnstile in a ring of three layers that change nothing, as a design; and what is done with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikegpt_hls.hls.rtl.blocks import SOURCES
from spikegpt_hls.rtl_tests.mutants.cases import Design
from spikegpt_hls.rtl_tests.mutants.replay import RUNS, Play, Stream, pauses
from spikegpt_hls.rtl_tests.proofs.formal import HERE

NAME = "ring"
TOKENS = 60


@dataclass(frozen=True)
class Case:
    """Bits of a beat, beats of a token, layers, tokens inside, and how many a layer's blocks hold."""

    bits: int
    beats: int
    layers: int
    tokens: int
    credits: int
    lanes: int = 1


CASES = (Case(3, 2, 3, 3, 3), Case(4, 3, 2, 2, 8))


def design(case: Case) -> Design:
    names = ("ring", "beat_counter", "stream_pipe", "fifo", "delay")
    sources = {f"{name}.sv": (SOURCES / f"{name}.sv").read_text() for name in names}
    sources["ring_cell.sv"] = (HERE / "ring_cell.sv").read_text()
    values = {
        "BITS": case.bits, "BEATS": case.beats, "LAYERS": case.layers, "TOKENS": case.tokens, "LATENCY": 1,
        "CREDITS": case.credits,
    }  # fmt: skip
    return Design("ring_cell", sources, {}, values)


def play(case: Case) -> Play:
    """All runs but ``timing``: what goes in comes out, in its order."""
    rng = np.random.default_rng(case.bits)
    words = (
        rng.integers(0, 1 << case.bits, TOKENS * case.beats)
        | np.repeat(rng.integers(0, 2, TOKENS), case.beats) << case.bits + 1
    )
    words[case.beats - 1 :: case.beats] |= 1 << case.bits
    shares = (("s_axis_x", [idle for idle, _ in RUNS.values()]), ("m_axis", [refused for _, refused in RUNS.values()]))
    streams = [
        Stream(port, case.bits, 1, words.tolist(), pauses((f"{port} {share}", share) for share in own))
        for port, own in shares
    ]
    return Play(streams, len(RUNS) - 1)
