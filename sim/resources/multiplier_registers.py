"""The register behind a multiplier, moved into it: a MULT18X18D of the ECP5 has one, which Yosys leaves unused.

A product that is registered in the fabric is routed twice in one cycle, to the multiplier and from it. The netlist does
the same in every cycle afterwards: what moves has the same clock, neither an enable nor a reset, and starts from zero
(FPGA-TN-02205, ECP5 and ECP5-5G sysDSP Usage Guide).

nextpnr writes which reset that register listens to for every other multiplier only, as Project Trellis has no bits for
the rest: all zero they mean RST3, where they are known. A control input that is not connected is high, which is right
for the enables. RST0 and RST3 are therefore tied low, by different nets, because nextpnr joins the ports of one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

MULTIPLIER = "MULT18X18D"
PRODUCT = re.compile(r"P\d+")
#: A flip-flop without enable and reset that starts from zero; nextpnr reads a word that ends with a blank as a string.
PLAIN = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"}
ZERO = "multiplier_registers_zero"

Cell = Mapping[str, Any]


def absorbed(netlist: Mapping[str, Any], top: str) -> dict[str, Any]:
    """Yosys's JSON netlist of ``top``, which is flat, with every such register inside its multiplier.

    A multiplier keeps its registers outside unless flip-flops of one clock, and nothing else, read its product.
    """
    module = netlist["modules"][top]
    cells: dict[str, Any] = dict(module["cells"])
    readers = _readers(module)
    zero = 1 + max(bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int))
    moved: dict[Any, int] = {}  # from a register's output to the multiplier's
    for name, cell in module["cells"].items():
        if cell["type"] != MULTIPLIER:
            continue
        bits = [bit for port, (bit,) in cell["connections"].items() if PRODUCT.fullmatch(port)]
        read = [(bit, *reader) for bit in bits for reader in readers[bit]]
        clocks = {_clock(cells.get(reader), port) for _, reader, port in read}
        clock = clocks.pop() if len(clocks) == 1 else None
        if clock is not None:
            cells[name] = _registered(cell, clock, zero)
            for bit, reader, _ in read:
                moved[cells.pop(reader)["connections"]["Q"][0]] = bit
    if moved:
        cells[f"{ZERO}_lut"] = _zero(zero)

    def renamed(named: Mapping[str, Any]) -> dict[str, Any]:
        return {name: {**one, "bits": [moved.get(bit, bit) for bit in one["bits"]]} for name, one in named.items()}

    for name, cell in cells.items():
        connections = {port: [moved.get(bit, bit) for bit in bits] for port, bits in cell["connections"].items()}
        cells[name] = {**cell, "connections": connections}
    names = {key: renamed(module[key]) for key in ("ports", "netnames")}
    if moved:
        names["netnames"][ZERO] = {"hide_name": 0, "bits": [zero], "attributes": {}}
    return {**netlist, "modules": {**netlist["modules"], top: {**module, **names, "cells": cells}}}


def _readers(module: Mapping[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """The cells and ports that read each net; a port of the module has no cell."""
    readers: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    readers[bit].append((name, port))
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            for bit in port["bits"]:
                readers[bit].append(("", name))
    return readers


def _clock(reader: Cell | None, port: str) -> int | None:
    """The clock of a reader that can move into the multiplier."""
    if reader is None or reader["type"] != "TRELLIS_FF" or port != "DI" or reader["connections"]["LSR"] != ["0"]:
        return None
    plain = all(reader["parameters"].get(name) == value for name, value in PLAIN.items())
    clock: int = reader["connections"]["CLK"][0]
    return clock if plain else None


def _registered(cell: Cell, clock: int, zero: int) -> dict[str, Any]:
    controls = {"CLK0": clock, "CE0": "1", "RST0": "0", "RST3": zero}
    parameters = {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0", "GSR": "DISABLED"}
    return {
        **cell,
        "parameters": {**cell["parameters"], **parameters},
        "port_directions": {**cell["port_directions"], **dict.fromkeys(controls, "input")},
        "connections": {**cell["connections"], **{port: [bit] for port, bit in controls.items()}},
    }


def _zero(output: int) -> dict[str, Any]:
    """A LUT that is zero, which nextpnr does not know as a constant."""
    return {
        "type": "LUT4",
        "parameters": {"INIT": f"{0:016b}"},
        "attributes": {},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {**{port: ["0"] for port in "ABCD"}, "Z": [output]},
    }
