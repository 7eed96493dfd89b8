"""The register behind an ECP5's multiplier moves into it, where nothing else shows that.

That a netlist does the same afterwards is shown under the blocks' benches (``rtl_tests/netlists/test_netlists.py``).
"""

import json
from pathlib import Path

import pytest

from spikegpt_hls.sim.resources import place_route
from spikegpt_hls.sim.resources.multiplier_registers import absorbed
from spikegpt_hls.sim.resources.netlist import PLAIN

TOP = """
module top (input logic clk, other, go, input logic signed [8:0] a, b, output logic signed [19:0] y, z);
  logic signed [17:0] product, q;
  assign product = a * b;
  {statements}
endmodule
"""
TO_PORTS = "assign y = 20'(q); assign z = '0;"


def registers(folder: Path, statements: str) -> tuple[int, bool]:
    """Flip-flops outside of the multiplier, and whether it has some."""
    (folder / "top.sv").write_text(TOP.format(statements=statements))
    cells = place_route.synthesize("top", "top", {}, ["top.sv"], folder)
    made = json.loads((folder / "netlist.json").read_text())["modules"]["top"]["cells"].values()
    (multiplier,) = [cell for cell in made if cell["type"] == "MULT18X18D"]
    return cells.get("TRELLIS_FF", 0), multiplier["parameters"].get("REG_OUTPUT_CLK") == "CLK0"


@pytest.mark.parametrize(
    ("statements", "outside"),
    [
        (f"always_ff @(posedge clk) q <= product; {TO_PORTS}", 0),
        # A part of the product, and a second register behind the first.
        ("always_ff @(posedge clk) begin q <= product >>> 8; y <= 20'(q); end assign z = '0;", 10),
        # Two readers of the register.
        ("always_ff @(posedge clk) begin q <= product; y <= 20'(q); end assign z = 20'(q) + 20'd1;", 18),
    ],
    ids=["ports", "a part", "two readers"],
)
def test_a_register_moves_into_its_multiplier(tmp_path: Path, statements: str, outside: int) -> None:
    assert registers(tmp_path, statements) == (outside, True)


@pytest.mark.parametrize(
    ("statements", "outside"),
    [
        (f"always_ff @(posedge clk) if (go) q <= product; {TO_PORTS}", 18),
        (f"always_ff @(posedge clk) q <= go ? product : '0; {TO_PORTS}", 18),
        (f"initial q = 1; always_ff @(posedge clk) q <= product; {TO_PORTS}", 18),
        (f"always_ff @(negedge clk) q <= product; {TO_PORTS}", 18),
        (f"always_ff @(posedge product[0]) q <= product; {TO_PORTS}", 18),
        # The product is seen before its register.
        ("always_ff @(posedge clk) q <= product; assign y = 20'(q); assign z = 20'(product);", 18),
        ("always_ff @(posedge clk) q <= product; assign y = 20'(q); assign z = {19'b0, product[3] ^ go};", 18),
        # Two clocks.
        (
            "always_ff @(posedge clk) q[8:0] <= product[8:0]; always_ff @(posedge other) q[17:9] <= product[17:9];"
            + TO_PORTS,
            18,
        ),
        (f"assign q = product; {TO_PORTS}", 0),
    ],
    ids=["enable", "reset", "one at first", "falling edge", "own clock", "port", "gate", "two clocks", "none"],
)
def test_what_a_multiplier_cannot_hold_stays_outside(tmp_path: Path, statements: str, outside: int) -> None:
    assert registers(tmp_path, statements) == (outside, False)


def test_resets_of_the_register_are_low_whichever_it_listens_to(tmp_path: Path) -> None:
    registers(tmp_path, f"always_ff @(posedge clk) q <= product; {TO_PORTS}")
    module = json.loads((tmp_path / "netlist.json").read_text())["modules"]["top"]
    (pins,) = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "MULT18X18D"]
    drivers = {cell["connections"]["Z"][0]: cell for cell in module["cells"].values() if cell["type"] == "LUT4"}
    assert pins["CE0"] == ["1"]
    assert pins["RST0"] == ["0"]  # nextpnr joins the ports of one net, so RST3 has another
    assert drivers[pins["RST3"][0]]["parameters"]["INIT"] == "0" * 16


def test_copies_of_a_sign_all_become_the_multipliers_output() -> None:
    clk, sign, first, second = 2, 3, 4, 5
    flop = {
        "type": "TRELLIS_FF",
        "parameters": dict(PLAIN),
        "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
    }
    wired = {"CLK": [clk], "DI": [sign], "LSR": ["0"]}
    multiplier = {"type": "MULT18X18D", "parameters": {}, "port_directions": {"P0": "output"}}
    module = {
        "ports": {"y": {"direction": "output", "bits": [first, second]}},
        "cells": {
            "multiplier": {**multiplier, "connections": {"P0": [sign]}},
            "first": {**flop, "connections": {**wired, "Q": [first]}},
            "second": {**flop, "connections": {**wired, "Q": [second]}},
        },
        "netnames": {"y": {"bits": [first, second]}},
    }
    made = absorbed({"modules": {"top": module}}, "top")["modules"]["top"]
    assert {cell["type"] for cell in made["cells"].values()} == {"MULT18X18D", "LUT4"}
    assert made["cells"]["multiplier"]["connections"]["P0"] == [sign]
    assert made["ports"]["y"]["bits"] == made["netnames"]["y"]["bits"] == [sign, sign]
