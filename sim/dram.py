"""Energy of reading a DRAM chip, from its data sheet's currents (``dram.json``), as Micron's TN-41-01 reckons it.

    read      volts * (IDD4R - IDD3N) / (width * rate)                      per bit
    a row     volts * (IDD0 * tRC - IDD3N * tRAS - IDD2N * (tRC - tRAS))    opened and closed

Standby, refresh and, but for LPDDR4, what drives the pins are not counted: a token does not cause the first two, and
the third depends on the board.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.rows import tiling
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.sim.traces import Asked, waves


@dataclass(frozen=True)
class Dram:
    """A chip; currents in mA. ``idd0`` 0: what a row costs is not known."""

    name: str
    chip: str
    width: int
    mt_per_s: float
    volts: float
    page_bytes: int
    idd3n: float
    idd4r: float
    source: str
    idd0: float = 0
    idd2n: float = 0
    pins: float = 0
    t_ras_ns: float = 0
    t_rc_ns: float = 0

    @property
    def bit_pj(self) -> float:
        """Of a bit that is read."""
        return self.volts * (self.idd4r - self.idd3n + self.pins) * 1e3 / (self.width * self.mt_per_s)

    @property
    def row_pj(self) -> float:
        """Of a row that is opened and closed."""
        if not self.idd0:
            return 0.0
        closed = self.t_rc_ns - self.t_ras_ns
        return self.volts * (self.idd0 * self.t_rc_ns - self.idd3n * self.t_ras_ns - self.idd2n * closed)


@cache
def drams() -> dict[str, Dram]:
    """Every kind of chip by its name."""
    entries = json.loads(files(__package__).joinpath("dram.json").read_text())
    return {entry["name"]: Dram(**entry) for entry in entries}


def rows_opened(dataflow: Dataflow, asked: Asked, page: int) -> int:
    """Of a memory with rows of ``page`` bytes, of which one is open at a time, what the tokens' reads open: by matrix,
    tile and wave those that hold a weight that is needed, and one for each row of the embedding."""
    layout = Layout(dataflow)
    opened = len(asked.tokens) * -(-layout.row_beats * layout.bus_bytes // page)
    for block in layout.members:
        for number, needed in _needed(block, asked):
            for first, last in _rows(layout, block, number, page):
                begin, end = first[needed], last[needed]
                opened += int((end - begin + 1).sum() - (end[:-1] == begin[1:]).sum())
    return opened


def _needed(block: Block, asked: Asked) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Of each wave in each layer, which of a Linear's rows are read."""
    every = np.ones((len(asked.tokens) * block.layers, block.channels_in), bool)
    for wave in waves(block, asked.nonzero[block.name] if block.events else every):
        yield from enumerate(wave)


def _rows(layout: Layout, block: Block, number: int, page: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Tile by tile, the memory's first and last row of each of a matrix's rows."""
    tiles, bus = tiling(block), layout.bus_bytes
    at = layout.first(block, number) * bus
    for tile in range(tiles.tiles):
        size = (tiles.last if tile == tiles.tiles - 1 else tiles.words) * bus
        begin = at + np.arange(block.channels_in) * size
        yield begin // page, (begin + size - 1) // page
        at += block.channels_in * size
