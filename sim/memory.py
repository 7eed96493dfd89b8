"""What a dataflow must remember, which of it a part holds on the chip, and what the rest costs per token.

Constants (the Linears' weights, the embedding's bits) fill block RAM and UltraRAM as whole blocks, largest first; what
finds no room leaves the chip, and is then read once per token. State is read and written every token and stays.
All of it is arithmetic (derived) from the folding; only the block RAM that the blocks take besides is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.states import state_memory
from spikegpt_hls.sim.parts import Part, fits, parts
from spikegpt_hls.sim.roms import Rom, roms


def state_bits(dataflow: Dataflow) -> int:
    """Of one sequence: membranes, shift rows, WKV."""
    states = ((block, state_memory(block)) for block in dataflow.blocks)
    return sum(block.channels_out * state.bits for block, state in states if state)


def outside(part: Part, dataflow: Dataflow, total: Mapping[str, float]) -> tuple[str, ...]:
    """The blocks whose constants find no room beside the ``total`` of all blocks without their ROMs."""
    return tuple(_outside(part, roms(dataflow), total["bram36"]))


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
        "parts": {part.name: _on(part, constants, total, clock * 1e6 / interval) for part in parts()},
        "provenance": "derived; the blocks' own resources are measured (Yosys), the clock is an assumption (projected)",
    }


def _on(part: Part, constants: Mapping[str, Rom], total: Mapping[str, float], rate: float) -> dict[str, Any]:
    names = list(_outside(part, constants, total["bram36"]))
    left = [constants[name] for name in names]
    size, read = sum(rom.size for rom in left) / 8, sum(rom.bytes_per_token for rom in left)
    bound = {"tokens_per_s_at_most": part.board.gb_per_s * 1e9 / read} if read else {}
    return {
        "blocks_fit": fits(total, part),
        "outside": names,
        "outside_bytes": size,
        "bytes_per_token": read,
        "gb_per_s": read * rate / 1e9,
        "board": asdict(part.board),
        "memory_holds_it": size <= part.board.megabytes * 2**20,
        **bound,
    }


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
