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
from collections.abc import Mapping
from typing import Any

from spikegpt_hls.sim.resources.netlist import Cell, free_net, made, movable, readers, renamed

MULTIPLIER = "MULT18X18D"
PRODUCT = re.compile(r"P\d+")
ZERO = "multiplier_registers_zero"


def absorbed(netlist: Mapping[str, Any], top: str) -> dict[str, Any]:
    """Yosys's JSON netlist of ``top``, which is flat, with every such register inside its multiplier.

    A multiplier keeps its registers outside unless flip-flops of one clock, and nothing else, read its product.
    """
    module = netlist["modules"][top]
    cells: dict[str, Any] = dict(module["cells"])
    read_by = readers(module)
    zero = free_net(module)
    moved: dict[Any, int] = {}  # from a register's output to the multiplier's
    for name, cell in module["cells"].items():
        if cell["type"] != MULTIPLIER:
            continue
        bits = [bit for port, (bit,) in cell["connections"].items() if PRODUCT.fullmatch(port)]
        read = [(bit, *reader) for bit in bits for reader in read_by[bit]]
        clocks = {movable(cells.get(reader)) if port == "DI" else None for _, reader, port in read}
        clock = clocks.pop() if len(clocks) == 1 else None
        if clock is not None:
            cells[name] = _registered(cell, clock, zero)
            for bit, reader, _ in read:
                moved[cells.pop(reader)["connections"]["Q"][0]] = bit
    if moved:
        cells[f"{ZERO}_lut"] = _zero(zero)
    changed = renamed(module, cells, moved)
    if moved:
        changed["netnames"][ZERO] = {"hide_name": 0, "bits": [zero], "attributes": {}}
    return {**netlist, "modules": {**netlist["modules"], top: changed}}


def _registered(cell: Cell, clock: int, zero: int) -> dict[str, Any]:
    controls = {"CLK0": clock, "CE0": "1", "RST0": "0", "RST3": zero}
    parameters = {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0", "GSR": "DISABLED"}
    return {
        **cell,
        "parameters": {**cell["parameters"], **parameters},
        "port_directions": {**cell["port_directions"], **dict.fromkeys(controls, "input")},
        "connections": {**cell["connections"], **{port: [bit] for port, bit in controls.items()}},
    }


def _zero(output: int) -> Cell:
    """A LUT that is zero, which nextpnr does not know as a constant."""
    return made("LUT4", {"INIT": f"{0:016b}"}, "Z", A="0", B="0", C="0", D="0", Z=output)
