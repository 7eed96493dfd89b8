"""Toggles of a block's nets in RTL simulation, under several stimuli: from Verilator's SAIF.

Every bit of every declared net and register in every instance counts, but for the clock; memories (arrays) are not
traced. The simulation has no delays, so there are no glitches. The bench's own comparison runs along: what is counted
are the toggles of right results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl import blocks
from spikegpt_hls.hls.rtl.blocks import images, parameters
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import bench, simulator

SAIF = "toggles.saif"
_NET = re.compile(r"\((\S+) \(T0 .*\(TC (\d+)\)\)")
_INSTANCE = re.compile(r"\(INSTANCE (\S+)")


def toggles(block: Block, stimuli: Mapping[str, Sequence[Ints]], folder: Path) -> dict[str, float]:
    """Bits that changed per token, by stimulus: each one sequence of (tokens, channels) integers per stream, with no
    stall. ``folder`` keeps the simulation; ToolError where there is no Verilator, AssertionError for a wrong result."""
    module = blocks.module(block)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    memory = images(block)
    for name, image in memory.items():
        (folder / f"{name}.hex").write_text(image.hex())
    files = {name: f'"{name}.hex"' for name in memory}
    simulator.build(blocks.files(module), module, folder, {**parameters(block), **files}, saif=True)
    found = {}
    for name, streams in stimuli.items():
        case, tokens = folder / name, len(streams[0])
        case.mkdir(exist_ok=True)
        bench.write_case(case, block, streams, [tokens])
        environment = {"CASE": str(case)}
        simulator.run(module, bench.__name__, folder, environment, test="flowing", waves=True, logs=case, trace=SAIF)
        found[name] = count((case / SAIF).read_text()) / tokens
        (case / SAIF).unlink()
    return found


def count(saif: str) -> int:
    """Toggles in all of a SAIF, the clock and the copies of the top's ports aside."""
    total, instance = 0, ""
    for line in saif.splitlines():
        if opened := _INSTANCE.search(line):
            instance = opened.group(1)
        elif (net := _NET.search(line)) and instance != "$rootio" and net.group(1) != "clk":
            total += int(net.group(2))
    return total
