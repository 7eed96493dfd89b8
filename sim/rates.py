"""Tokens per second of a design that reads its weights from a memory, on the boards of ``parts.json``, and what their
memories spend on it (``dram.py``).

Cycles and bytes are those of the RTL before a memory that never lets it wait. The port moves a beat a cycle at most:
``bus / 8 * clock`` bytes per second. A board's memory that gives more lets the design have its cycles; one that gives
less stretches those in which the bus moves. A memory's peak is taken: refresh and rows that close cost some of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikegpt_hls.sim.dram import drams
from spikegpt_hls.sim.parts import Board, parts

CLOCK = 100.0  # MHz, assumed


def tokens_per_second(cycles: float, bytes_per_token: float, bus: int, gb_per_s: float, clock: float = CLOCK) -> float:
    """With ``cycles`` per token at ``clock`` in MHz, and a port of ``bus`` bits."""
    moving = bytes_per_token * 8 / bus
    stretch = max(1.0, bus / 8 * clock * 1e6 / (gb_per_s * 1e9))
    return clock * 1e6 / (cycles + moving * (stretch - 1))


def on_boards(
    cycles: float, bytes_per_token: float, bus: int, image: int, opened: Callable[[int], float]
) -> dict[str, dict[str, Any]]:
    """By part: its board, tokens per second, and what bounds them; of boards whose memory holds an image of so many
    bytes. ``opened``: rows per token that a memory with rows of so many bytes opens. Whether the part holds the logic
    is another question (``make hls``)."""
    found = {}
    for part in {part.board.name: part for part in parts()}.values():  # the largest of each board
        board = part.board
        if image <= board.megabytes << 20:
            found[part.name] = {
                "board": board.name,
                "memory": board.memory,
                "tokens_per_s": tokens_per_second(cycles, bytes_per_token, bus, board.gb_per_s),
                "bound": "memory" if board.gb_per_s * 1e3 < bus / 8 * CLOCK else "port",
                "memory_j_per_token": memory_pj(board, bytes_per_token, opened) * 1e-12,
            }
    return found


def memory_pj(board: Board, bytes_per_token: float, opened: Callable[[int], float]) -> float:
    """What a board's memory spends on a token: bits that are read, and rows that are opened in each of its chips."""
    chip = drams()[board.dram]
    rows = opened(chip.page_bytes * board.chips) * board.chips
    return bytes_per_token * 8 * chip.bit_pj + rows * chip.row_pj
