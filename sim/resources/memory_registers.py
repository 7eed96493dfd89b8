"""The register behind a memory of several blocks, moved in front of what chooses among them.

A block RAM's word comes late in its cycle, and Yosys lets lookup tables choose among the blocks of a larger memory
before the register that the source has there: all that in one cycle, with nothing but a product or a sum in the next.
Moved, the register takes each block's word as it comes, and the choice is the next cycle's. The netlist does the same
in every cycle afterwards: what moves has the same clock, neither an enable nor a reset, and starts from zero, as what
is chosen from zeros does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from spikegpt_hls.sim.resources.netlist import Cell, free_net, movable, readers, register, renamed

MEMORY = "DP16KD"
CHOOSES = {"LUT4", "PFUMX", "L6MUX21"}
#: Registers that say which block it is: more of them are something else than a choice.
SELECTORS = 8
_WORD = re.compile(r"DO[AB]\d+")


class _Choice(NamedTuple):
    """What leads to a register: its root, the cells between, the nets it begins with."""

    root: int
    cells: frozenset[str]
    leaves: frozenset[int]


def balanced(netlist: Mapping[str, Any], top: str) -> dict[str, Any]:
    """Yosys's JSON netlist of ``top``, which is flat, with every such register in front of the choice.

    A register stays where anything but such registers reads what is between it and the blocks.
    """
    module = netlist["modules"][top]
    choices = _movable(module)
    cells = {name: cell for name, cell in module["cells"].items() if name not in choices}
    first = free_net(module)
    delayed: dict[int, int] = {}
    for name, choice in choices.items():
        clock = module["cells"][name]["connections"]["CLK"][0]
        for leaf in sorted(choice.leaves - delayed.keys()):
            delayed[leaf] = first + len(delayed)
            cells[f"memory_register_{delayed[leaf]}"] = register(clock, leaf, delayed[leaf])
    for name in {name for choice in choices.values() for name in choice.cells}:
        cells[name] = _reading(cells[name], delayed)
    moved = {module["cells"][name]["connections"]["Q"][0]: choice.root for name, choice in choices.items()}
    return {**netlist, "modules": {**netlist["modules"], top: renamed(module, cells, moved)}}


def _movable(module: Mapping[str, Any]) -> dict[str, _Choice]:
    """The registers that can move, with what they read."""
    cells = module["cells"]
    drivers = {
        bit: (name, port)
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    choices = {
        name: choice
        for name, cell in cells.items()
        if movable(cell) is not None and (choice := _choice(cell, cells, drivers)) is not None
    }
    read_by = readers(module)
    while True:
        inside = {name for choice in choices.values() for name in choice.cells}
        shared = {
            name
            for name in inside
            for bit in _outputs(cells[name])
            for reader, port in read_by[bit]
            if reader not in inside and not (reader in choices and port == "DI")
        }
        if not shared:
            return choices
        choices = {name: choice for name, choice in choices.items() if not choice.cells & shared}


def _choice(reads: Cell, cells: Mapping[str, Cell], drivers: Mapping[Any, tuple[str, str]]) -> _Choice | None:
    """What a register reads, if it is a choice among blocks of its clock."""
    root, clock = reads["connections"]["DI"][0], reads["connections"]["CLK"][0]
    between, words, selectors, todo = set[str](), set[int](), set[int](), [root]
    while todo:
        bit = todo.pop()
        if isinstance(bit, str):  # a constant
            continue
        name, port = drivers.get(bit, ("", ""))
        cell = cells.get(name, {"type": ""})
        if cell["type"] in CHOOSES:
            if name not in between:
                between.add(name)
                todo += [bit for port, bits in _inputs(cell) for bit in bits]
        elif cell["type"] == MEMORY and _WORD.fullmatch(port) and _unregistered(cell, port[2], clock):
            words.add(bit)
        elif cell["type"] == "TRELLIS_FF" and cell["connections"]["CLK"] == [clock]:
            selectors.add(bit)
        else:
            return None
        if len(selectors) > SELECTORS:
            return None
    choice = _Choice(root, frozenset(between), frozenset(words | selectors))
    return choice if len(words) > 1 and not _value(root, cells, drivers) else None


def _unregistered(memory: Cell, side: str, clock: int) -> bool:
    bare = memory["parameters"].get(f"REGMODE_{side}", "NOREG") == "NOREG"
    return bare and {memory["connections"][f"CLK{port}"][0] for port in "AB"} <= {clock, "0", "1", "x"}


def _value(bit: Any, cells: Mapping[str, Cell], drivers: Mapping[Any, tuple[str, str]]) -> bool:
    """Of a net where all that leads to it is zero."""
    name = drivers.get(bit, ("", ""))[0]
    if isinstance(bit, str) or cells[name]["type"] not in CHOOSES:
        return bool(bit == "1")
    cell = cells[name]

    def at(port: str) -> bool:
        return _value(cell["connections"][port][0], cells, drivers)

    if cell["type"] == "LUT4":
        index = sum(at(port) << place for place, port in enumerate("ABCD"))
        return bool(cell["parameters"]["INIT"][-1 - index] == "1")
    if cell["type"] == "PFUMX":
        return at("ALUT") if at("C0") else at("BLUT")
    return at("D1") if at("SD") else at("D0")


def _inputs(cell: Cell) -> Iterable[tuple[str, list[Any]]]:
    return [(port, bits) for port, bits in cell["connections"].items() if cell["port_directions"][port] == "input"]


def _outputs(cell: Cell) -> list[Any]:
    ports = cell["connections"].items()
    return [bit for port, bits in ports if cell["port_directions"][port] == "output" for bit in bits]


def _reading(cell: Cell, delayed: Mapping[int, int]) -> Cell:
    inputs = {port: [delayed.get(bit, bit) for bit in bits] for port, bits in _inputs(cell)}
    return {**cell, "connections": {**cell["connections"], **inputs}}
