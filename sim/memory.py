"""What a dataflow must remember, which of it a part holds on the chip, and what the rest costs per token.

Constants (the Linears' weights, the embedding's bits) fill block RAM and UltraRAM as whole blocks, largest first; what
finds no room leaves the chip, and is then read once per token. State is read and written every token and stays.
All of it is arithmetic (derived) from the folding; only the block RAM that the blocks take besides is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.states import state_memory
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear
from spikegpt_hls.sim.parts import Part, fits, parts

#: Words and bits of half a block RAM (UG473, 7 Series Memory Resources) and of an UltraRAM (UG573).
BRAM18 = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
URAM = (4096, 72)


@dataclass(frozen=True)
class Rom:
    """A block's constants as its module reads them: ``words`` of ``bits``, one a cycle, ``reads`` of them per token."""

    words: int
    bits: int
    reads: int

    @property
    def size(self) -> int:
        """Bits."""
        return self.words * self.bits

    @property
    def bram36(self) -> float:
        """Block RAMs of the shape that needs fewest."""
        return min(ceil(self.words / words) * ceil(self.bits / bits) for words, bits in BRAM18) / 2

    @property
    def uram(self) -> int:
        return ceil(self.words / URAM[0]) * ceil(self.bits / URAM[1])


@dataclass(frozen=True)
class Board:
    """A board with a part, and the memory beside it."""

    part: str
    board: str
    memory: str
    megabytes: int
    gb_per_s: float  # peak
    source: str


@cache
def boards() -> dict[str, Board]:
    """By part."""
    entries = json.loads(files(__package__).joinpath("boards.json").read_text())
    return {entry["part"]: Board(**entry) for entry in entries}


def rom(block: Block) -> Rom | None:
    """The constants of a block that grow with the square of the model's width, or with its vocabulary."""
    match block.operation:
        case Linear() as op:
            folding = block.folding
            return Rom(folding.steps, folding.simd * folding.pe * op.weight.bits, folding.steps)
        case BinaryEmbedding() as op:
            return Rom(op.vocabulary * block.beats_out, block.lanes, block.beats_out)
    return None


def roms(dataflow: Dataflow) -> dict[str, Rom]:
    return {block.name: found for block in dataflow.blocks if (found := rom(block))}


def state_bits(dataflow: Dataflow) -> int:
    """Of one sequence: membranes, shift rows, WKV."""
    states = ((block, state_memory(block)) for block in dataflow.blocks)
    return sum(block.channels_out * state.bits for block, state in states if state)


def memory(dataflow: Dataflow, total: Mapping[str, float], interval: float, clock: float) -> dict[str, Any]:
    """``memory.json``: ``total`` is what all blocks take without their ROMs, ``interval`` cycles per token, ``clock``
    the MHz that a token rate is projected for."""
    constants = roms(dataflow)
    return {
        "constants": {name: {**asdict(rom), "bram36": rom.bram36} for name, rom in constants.items()},
        "constant_bits": sum(rom.size for rom in constants.values()),
        "state_bits_per_sequence": state_bits(dataflow),
        "cycles_per_token": interval,
        "clock_mhz": clock,
        "tokens_per_s": clock * 1e6 / interval,
        "parts": {part.name: _on(part, constants, total, clock * 1e6 / interval) for part in parts("xc7")},
        "provenance": "derived; the blocks' own resources are measured (Yosys), the clock is an assumption (projected)",
    }


def _on(part: Part, constants: Mapping[str, Rom], total: Mapping[str, float], rate: float) -> dict[str, Any]:
    names = list(_outside(part, constants, total["bram36"]))
    outside = [constants[name] for name in names]
    size, read = (sum(amounts) / 8 for amounts in ([r.size for r in outside], [r.reads * r.bits for r in outside]))
    found = {
        "blocks_fit": fits(total, part),
        "outside": names,
        "outside_bytes": size,
        "bytes_per_token": read,
        "gb_per_s": read * rate / 1e9,
    }
    board = boards().get(part.name)
    if board is None:
        return found
    bound = {"tokens_per_s_at_most": board.gb_per_s * 1e9 / read} if read else {}
    return {**found, "board": asdict(board), "memory_holds_it": size <= board.megabytes * 2**20, **bound}


def _outside(part: Part, constants: Mapping[str, Rom], bram36: float) -> Iterator[str]:
    """The ROMs that find no room: each takes UltraRAM while there is some, then block RAM."""
    blocks, ultra = part.bram36 - bram36, part.uram
    for name, rom in sorted(constants.items(), key=lambda item: -item[1].size):
        if rom.uram <= ultra:
            ultra -= rom.uram
        elif rom.bram36 <= blocks:
            blocks -= rom.bram36
        else:
            yield name
