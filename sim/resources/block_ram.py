"""Which memories leave a part's block RAM where it has too little: those that need the fewest LUTs for a block.

Yosys puts every memory of more than some hundred bits into block RAM, however small. Its own netlist says which lie
there; the design before that step says how large they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import Any

BLOCK = "DP16KD"
_PART = re.compile(r"(.+)\.\d+\.\d+")  # of a memory, as Yosys names it: <memory>.<row>.<column>


def leaving(coarse: Mapping[str, Any], netlist: Mapping[str, Any], top: str, blocks: int) -> dict[str, str]:
    """Memories of ``top``, flat, by name, with the style that Yosys gives them, until no more than ``blocks`` are used.

    ``coarse`` and ``netlist`` are Yosys's JSON before and after memories are mapped. All that can leave, where that is
    not enough.
    """
    used = Counter(
        match[1]
        for name, cell in netlist["modules"][top]["cells"].items()
        if cell["type"] == BLOCK and (match := _PART.fullmatch(name))
    )
    memories = {name: cell for name, cell in coarse["modules"][top]["cells"].items() if cell["type"] == "$mem_v2"}
    price = {name: _luts(memories[name]) / count for name, count in used.items() if name in memories}
    chosen: dict[str, str] = {}
    over = used.total() - blocks
    for name in sorted(price, key=lambda name: (price[name], name)):
        if over <= 0:
            break
        chosen[name] = "distributed" if _number(memories[name], "WR_PORTS") else "logic"
        over -= used[name]
    return chosen


def _number(cell: Mapping[str, Any], parameter: str) -> int:
    return int(cell["parameters"][parameter], 2)


def _luts(cell: Mapping[str, Any]) -> float:
    """LUT4 of a memory outside of block RAM: 16 words of 4 bits take six where it is written, four where it is not; and
    what chooses among the words of 16."""
    rows, bits = ceil(_number(cell, "SIZE") / 16), _number(cell, "WIDTH")
    return rows * (6 * ceil(bits / 4) if _number(cell, "WR_PORTS") else bits) + bits * (rows - 1) / 2
