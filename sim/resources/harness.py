"""Registers around a netlist, so that it can be placed and routed by itself and the frequency is its own.

Every input bit comes from a register, every output bit goes to one: all paths of the netlist begin and end at the
clock, and no pad lies on one. The registers of the inputs are one shift register behind the pin ``d``; those of the
outputs are folded by a chain of exclusive ors, a register at each, down to the pin ``q``: one LUT between two
registers, so the harness is never the slowest. Three pins serve any number of ports. It is made of ECP5 cells and added
after synthesis: the netlist inside stays as it was counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from spikegpt_hls.sim.resources.netlist import Cell, free_net, made, register

XOR = {"INIT": f"{0x6666:016b}"}  # A ^ B


def harnessed(netlist: Mapping[str, Any], top: str) -> dict[str, Any]:
    """Yosys's JSON netlist of ``top``, whose ports are ``clk``, ``d`` and ``q`` now."""
    module = netlist["modules"][top]
    cells, ports = dict(module["cells"]), module["ports"]
    free = count(free_net(module))
    clk = ports["clk"]["bits"]

    def add(cell: Cell) -> None:
        cells[f"harness_{len(cells)}"] = cell

    def registered(x: int, q: int) -> int:
        add(register(clk[0], x, q))
        return q

    inputs = [b for name, port in ports.items() if port["direction"] == "input" and name != "clk" for b in port["bits"]]
    outputs = {b: None for port in ports.values() if port["direction"] == "output" for b in port["bits"]}
    d = chain = next(free)
    for bit in inputs:
        chain = registered(chain, bit)
    for bit in outputs:
        if isinstance(bit, int):  # and no constant
            captured, folded = registered(bit, next(free)), next(free)
            add(made("LUT4", XOR, "Z", A=captured, B=chain, C="0", D="0", Z=folded))
            chain = registered(folded, next(free))
    pins = {"clk": ports["clk"], "d": _port("input", d), "q": _port("output", chain)}
    names = {
        **module["netnames"],
        **{pin: {"hide_name": 0, "bits": pins[pin]["bits"], "attributes": {}} for pin in "dq"},
    }
    return {**netlist, "modules": {top: {**module, "ports": pins, "cells": cells, "netnames": names}}}


def _port(direction: str, bit: int) -> dict[str, Any]:
    return {"direction": direction, "bits": [bit]}
