"""Tokens per second of a design that reads its weights from a memory, on the boards of ``parts.json``, and what their
memories spend on it (``dram.py``).

Cycles and bytes are those of the RTL before a memory that never lets it wait. The port moves a beat a cycle at most:
``bus / 8 * clock`` bytes per second. A memory that gives more lets the design have its cycles; one that gives less
stretches those in which the bus moves. What a memory gives behind its controller is a share of its peak, one where all
rows are read and one where events choose them; the clock is one that was routed, or a stated one (``served.json``, with
a source for each).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from spikegpt_hls.sim.dram import drams
from spikegpt_hls.sim.parts import Board, parts


@dataclass(frozen=True)
class Served:
    """A design's clock on a board, the peak of the memory as the design drives it, and the shares of that which it gets
    of rows that follow each other and of ``gathered`` ones."""

    clock_mhz: float
    gb_per_s: float
    dense: float
    gathered: float
    source: str

    def rate(self, gathers: bool) -> float:
        """In GB/s."""
        return self.gb_per_s * (self.gathered if gathers else self.dense)


@cache
def served() -> dict[str, Served]:
    """By board."""
    entries = json.loads(files(__package__).joinpath("served.json").read_text())
    return {board: Served(**entry) for board, entry in entries.items()}


def tokens_per_second(cycles: float, bytes_per_token: float, bus: int, gb_per_s: float, clock: float) -> float:
    """With ``cycles`` per token at ``clock`` in MHz, and a port of ``bus`` bits."""
    moving = bytes_per_token * 8 / bus
    stretch = max(1.0, bus / 8 * clock * 1e6 / (gb_per_s * 1e9))
    return clock * 1e6 / (cycles + moving * (stretch - 1))


def on_boards(
    cycles: float, bytes_per_token: float, bus: int, image: int, opened: Callable[[int], float], gathers: bool = True
) -> dict[str, dict[str, Any]]:
    """By part: its board, tokens per second, and what bounds them; of boards whose memory holds an image of so many
    bytes. ``opened``: rows per token that a memory with rows of so many bytes opens; ``gathers``: events choose them.
    Whether the part holds the logic is another question (``make hls``)."""
    found = {}
    for part in {part.board.name: part for part in parts()}.values():  # the largest of each board
        board, here = part.board, served()[part.board.name]
        if image <= board.megabytes << 20:
            rate, clock = here.rate(gathers), here.clock_mhz
            found[part.name] = {
                "board": board.name,
                "memory": board.memory,
                "clock_mhz": clock,
                "gb_per_s": rate,
                "tokens_per_s": tokens_per_second(cycles, bytes_per_token, bus, rate, clock),
                "bound": "memory" if rate * 1e3 < bus / 8 * clock else "port",
                "memory_j_per_token": memory_pj(board, bytes_per_token, opened) * 1e-12,
            }
    return found


def memory_pj(board: Board, bytes_per_token: float, opened: Callable[[int], float]) -> float:
    """What a board's memory spends on a token: bits that are read, and rows that are opened in each of its chips."""
    chip = drams()[board.dram]
    rows = opened(chip.page_bytes * board.chips) * board.chips
    return bytes_per_token * 8 * chip.bit_pj + rows * chip.row_pj
