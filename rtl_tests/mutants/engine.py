"""The engine with its members, of its bench, as a design and what its bench does with it."""

from __future__ import annotations

from spikegpt_hls.hls.fold.engine import NAME
from spikegpt_hls.hls.rtl import engine
from spikegpt_hls.hls.rtl.blocks import files, image_file
from spikegpt_hls.rtl_tests.bench import expected
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.rtl_tests.linears.engine import CASES, LENGTHS, Case, top, values
from spikegpt_hls.rtl_tests.mutants.cases import Design
from spikegpt_hls.rtl_tests.mutants.replay import RUNS, Play, Stream, packed, pauses

__all__ = ["CASES", "NAME", "design", "play"]


def design(case: Case) -> Design:
    members = case.members()
    sources = {"top.sv": "\n".join(top(members)) + "\n"}
    sources |= {path.name: path.read_text() for path in files(NAME, "shared_linear")}
    memories = engine.images(tuple(reversed(members)))
    return Design("top", sources, {image_file(NAME, name): image.hex() for name, image in memories.items()}, {})


def play(case: Case) -> Play:
    """All runs but ``timing``: who is granted when is the whole model's matter."""
    streams = []
    for block in case.members():
        order, op, given = interleave(LENGTHS, block.contexts), block.operation, values(block)
        assert op is not None
        want = expected(op, [given], LENGTHS, block.params)
        for port, content, fmt, shares in (
            (block.inputs[0], given, block.format_in[0], [idle for idle, _ in RUNS.values()]),
            (block.outputs[0], want, op.out, [refused for _, refused in RUNS.values()]),
        ):
            stalls = pauses((f"{port} {share}", share) for share in shares)
            streams.append(Stream(port, *packed(block, content, order, block.lanes, fmt), stalls))
    return Play(streams, len(RUNS) - 1)
