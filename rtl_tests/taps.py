"""What ``tap.sv`` recorded of a stream: the cycle of every transfer, and its integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests.simulator import ToolError

_CYCLE_DIGITS = 8


def read(path: Path, lanes: int, bits: int) -> tuple[Ints, Ints]:
    """Cycles (beats,) and unsigned lanes (beats, lanes) of one tap's file: lines of fixed length."""
    digits = -(-lanes * bits // 4)
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    length = _CYCLE_DIGITS + digits + 1
    if raw.size % length:
        raise ToolError(f"{path} is cut short")
    nibbles = _NIBBLE[raw.reshape(-1, length)[:, :-1]]
    weights = 16 ** np.arange(_CYCLE_DIGITS - 1, -1, -1)
    cycles = nibbles[:, :_CYCLE_DIGITS] @ weights
    data = nibbles[:, : _CYCLE_DIGITS - 1 : -1]  # least significant nibble first
    flat = ((data[:, :, None] >> np.arange(4)) & 1).reshape(len(data), -1)[:, : lanes * bits]
    return cycles, flat.reshape(-1, lanes, bits) @ (1 << np.arange(bits))


def integers(block: Block, folder: Path) -> tuple[Ints, Ints]:
    """Cycles (tokens, beats) and integers (tokens, channels) that left ``block``; a token cut short is left out."""
    fmt = block.format_out
    cycles, lanes = read(folder / f"{block.outputs[0]}.hex", block.lanes, fmt.bits)
    tokens = len(cycles) // block.beats_out
    whole = tokens * block.beats_out
    values = np.where(lanes > fmt.hi, lanes - (1 << fmt.bits), lanes)
    return cycles[:whole].reshape(tokens, -1), values[:whole].reshape(tokens, -1)


_NIBBLE = np.zeros(256, np.int64)
_NIBBLE[[ord(digit) for digit in "0123456789abcdef"]] = np.arange(16)
