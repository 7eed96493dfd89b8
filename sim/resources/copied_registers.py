"""A register that many read, copied for each block that reads it: the reset, above all.

The reset's one register is read from every corner of the part, and by lookup tables too, which no global line reaches:
on a full part its wire was the slowest path of the design. A copy has the same inputs and the same value in every
cycle, and is placed where its readers are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from spikegpt_hls.sim.resources.netlist import Cell, free_net, readers

#: Pins that one register drives at most, where the names of nets tell their readers apart.
READERS = 128
#: Fewer pins than these are no reason for a copy.
FEW = 8
_Path = tuple[str, ...]  # of instances, the outermost first


class _Pin(NamedTuple):
    cell: str
    port: str
    path: _Path


def copied(netlist: Mapping[str, Any], top: str) -> dict[str, Any]:
    """Yosys's JSON netlist of ``top``, which is flat, with every such register once for each block that reads it."""
    module = netlist["modules"][top]
    cells: dict[str, Any] = dict(module["cells"])
    read_by, paths = readers(module), _paths(module)
    net = free_net(module)
    for name, cell in module["cells"].items():
        read = read_by[cell["connections"]["Q"][0]] if cell["type"] == "TRELLIS_FF" else []
        if len(read) <= READERS:
            continue
        pins = [_Pin(reader, port, _path(module["cells"][reader], paths)) for reader, port in read if reader]
        for number, group in enumerate(_groups(pins)):
            cells[f"{name}_copy_{number}"] = _connected(cells[name], "Q", net)
            for pin in group:
                cells[pin.cell] = _connected(cells[pin.cell], pin.port, net)
            net += 1
    return {**netlist, "modules": {**netlist["modules"], top: {**module, "cells": cells}}}


def _groups(pins: Sequence[_Pin], depth: int = 0) -> Iterator[Sequence[_Pin]]:
    """``pins`` by the instance that they are in, and by the instance in that one where these are many.

    Those that stay with the register are left out: the few, and the ones of no instance.
    """
    parts: dict[str, list[_Pin]] = defaultdict(list)
    for pin in pins:
        parts[pin.path[depth] if len(pin.path) > depth else ""].append(pin)
    for instance, part in parts.items():
        if len(part) > READERS and instance:
            inside = list(_groups(part, depth + 1))
            yield from inside
            there = {pin for group in inside for pin in group}
            part = [pin for pin in part if pin not in there]
        if len(part) >= FEW and (instance or depth):
            yield part


def _paths(module: Mapping[str, Any]) -> dict[Any, _Path]:
    """Of each net, the innermost instance that has a name for it."""
    found: dict[Any, _Path] = {}
    for name, net in module["netnames"].items():
        path = tuple(name.split(".")[:-1])
        for bit in net["bits"]:
            found[bit] = max(found.get(bit, ()), path, key=lambda one: (len(one), one))
    return found


def _path(cell: Cell, paths: Mapping[Any, _Path]) -> _Path:
    """The instance of a cell, by the names of what it drives."""
    driven = (bits for port, bits in cell["connections"].items() if cell["port_directions"][port] == "output")
    return max((paths.get(bit, ()) for bits in driven for bit in bits), key=len, default=())


def _connected(cell: Cell, port: str, net: int) -> dict[str, Any]:
    return {**cell, "connections": {**cell["connections"], port: [net]}}
