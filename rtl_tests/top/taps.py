"""What the testbench recorded: cycle and integers of every transfer of every stream, and the last states."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.states import state_memory
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests.simulator import ToolError

_CYCLE_DIGITS = 8


def read(path: Path, lanes: int, bits: int) -> tuple[Ints, Ints]:
    """Cycles (beats,) and unsigned lanes (beats, lanes) of one tap's file."""
    nibbles = _nibbles(path, _CYCLE_DIGITS + _digits(lanes * bits))
    cycles = nibbles[:, :_CYCLE_DIGITS] @ 16 ** np.arange(_CYCLE_DIGITS - 1, -1, -1)
    return cycles, _fields(nibbles[:, _CYCLE_DIGITS:], lanes, bits) @ (1 << np.arange(bits))


def _digits(bits: int) -> int:
    return -(-bits // 4)


def _nibbles(path: Path, digits: int) -> Ints:
    """(lines, digits) of a file whose lines are all ``digits`` long, most significant first."""
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    if raw.size % (digits + 1):
        raise ToolError(f"{path} is cut short")
    return _NIBBLE[raw.reshape(-1, digits + 1)[:, :-1]]


def _fields(nibbles: Ints, lanes: int, bits: int) -> Ints:
    """(lines, lanes, bits), least significant bit first."""
    flat = ((nibbles[:, ::-1, None] >> np.arange(4)) & 1).reshape(len(nibbles), -1)
    return flat[:, : lanes * bits].reshape(-1, lanes, bits)


def signed(values: Ints, fmt: Format) -> Ints:
    """What the unsigned bits of ``fmt`` stand for."""
    return np.where(values > fmt.hi, values - (1 << fmt.bits), values)


def states(block: Block, folder: Path) -> dict[str, Ints]:
    """The states (layers, contexts, channels) that a block's memory held when the simulation ended; empty without
    state."""
    layout = state_memory(block)
    if layout is None:
        return {}
    nibbles = _nibbles(folder / f"{block.name}.state", _digits(block.lanes * layout.bits))
    lanes = _fields(nibbles, block.lanes, layout.bits).reshape(-1, layout.bits)
    found, low = {}, 0
    for name, fmt in layout.fields:
        values = signed(lanes[:, low : low + fmt.bits] @ (1 << np.arange(fmt.bits)), fmt)
        found[name] = values.reshape(block.layers, block.contexts, -1)
        low += fmt.bits
    return found


def integers(block: Block, folder: Path) -> tuple[Ints, Ints]:
    """Cycles (tokens, beats) and integers (tokens, channels) that left ``block``; a token cut short is left out."""
    fmt = block.format_out
    cycles, lanes = read(folder / f"{block.outputs[0]}.hex", block.lanes, fmt.bits)
    tokens = len(cycles) // block.beats_out
    whole = tokens * block.beats_out
    values = signed(lanes[:whole], fmt).reshape(tokens, -1)
    return cycles[:whole].reshape(tokens, -1), values[:, : block.channels_out - block.padding]


_NIBBLE = np.zeros(256, np.int64)
_NIBBLE[[ord(digit) for digit in "0123456789abcdef"]] = np.arange(16)
