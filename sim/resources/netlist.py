"""Yosys's JSON netlist of an ECP5: its cells, who reads each net, which flip-flops may move, and nets renamed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import Any

Cell = Mapping[str, Any]

# nextpnr reads a string of zeros and ones as a number; Yosys ends one that is a word with a blank.
FLIP_FLOP = {
    "CEMUX": "1 ", "CLKMUX": "CLK", "GSR": "DISABLED", "LSRMUX": "LSR", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE",
}  # fmt: skip
#: Of a flip-flop without enable that starts from zero.
PLAIN = {name: FLIP_FLOP[name] for name in ("CEMUX", "CLKMUX", "LSRMUX", "REGSET")}


def made(kind: str, parameters: Mapping[str, str], output: str, **connections: Any) -> Cell:
    """A cell of pins of one bit each."""
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {},
        "port_directions": {port: "output" if port == output else "input" for port in connections},
        "connections": {port: [bit] for port, bit in connections.items()},
    }


def register(clock: int, x: int, q: int) -> Cell:
    """A flip-flop without enable and reset."""
    return made("TRELLIS_FF", FLIP_FLOP, "Q", CLK=clock, DI=x, LSR="0", Q=q)


def readers(module: Mapping[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """The cells and ports that read each net; a port of the module has no cell."""
    found: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    found[bit].append((name, port))
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            for bit in port["bits"]:
                found[bit].append(("", name))
    return found


def movable(cell: Cell | None) -> int | None:
    """The clock of a flip-flop that may move: one that is plain."""
    if cell is None or cell["type"] != "TRELLIS_FF" or cell["connections"]["LSR"] != ["0"]:
        return None
    plain = all(cell["parameters"].get(name) == value for name, value in PLAIN.items())
    clock: int = cell["connections"]["CLK"][0]
    return clock if plain else None


def free_net(module: Mapping[str, Any]) -> int:
    """A net that neither a cell nor a port has, nor any after it."""
    cells = (bits for cell in module["cells"].values() for bits in cell["connections"].values())
    return 1 + max(
        (
            bit
            for bits in chain(cells, (port["bits"] for port in module["ports"].values()))
            for bit in bits
            if isinstance(bit, int)
        ),
        default=1,
    )


def renamed(module: Mapping[str, Any], cells: Mapping[str, Cell], nets: Mapping[Any, int]) -> dict[str, Any]:
    """``module`` with ``cells``, in which other ones stand for ``nets``, one after another where they lead on."""

    def last(bit: Any) -> Any:
        while bit in nets:
            bit = nets[bit]
        return bit

    def named(key: str) -> dict[str, Any]:
        return {name: {**one, "bits": [last(bit) for bit in one["bits"]]} for name, one in module[key].items()}

    moved = {
        name: {**cell, "connections": {port: [last(bit) for bit in bits] for port, bits in cell["connections"].items()}}
        for name, cell in cells.items()
    }
    return {**module, "ports": named("ports"), "netnames": named("netnames"), "cells": moved}
