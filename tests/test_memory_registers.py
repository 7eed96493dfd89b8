"""Registers behind a memory of several blocks of an ECP5: which move in front of the choice, and which stay."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikegpt_hls.sim.resources import place_route

# 3000 words of 18 bits take three blocks of 1024.
TOP = """
module top (input logic clk, go, input logic [11:0] a, output logic [17:0] y, z);
  logic [17:0] rom[3000];
  initial $readmemh("rom.hex", rom);
  logic [17:0] word_q, q;
  always_ff @(posedge clk) word_q <= rom[a];
  {statements}
endmodule
"""


def cells(folder: Path, statements: str) -> list[dict[str, Any]]:
    (folder / "top.sv").write_text(TOP.format(statements=statements))
    (folder / "rom.hex").write_text("\n".join(f"{i * 7919 % 2**18:x}" for i in range(3000)))
    place_route.synthesize("top", "top", {}, ["top.sv"], folder)
    return list(json.loads((folder / "netlist.json").read_text())["modules"]["top"]["cells"].values())


def readers(made: list[dict[str, Any]]) -> set[str]:
    """The types of the cells that read a word of block RAM."""
    words = {
        bit
        for cell in made
        if cell["type"] == "DP16KD"
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    assert len([cell for cell in made if cell["type"] == "DP16KD"]) > 1
    return {
        cell["type"]
        for cell in made
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input" and words & set(bits)
    }


def test_each_block_has_the_register(tmp_path: Path) -> None:
    made = cells(tmp_path, "always_ff @(posedge clk) q <= word_q; assign y = q; assign z = '0;")
    assert readers(made) == {"TRELLIS_FF"}


def test_two_registers_move_together(tmp_path: Path) -> None:
    made = cells(tmp_path, "always_ff @(posedge clk) begin q <= word_q; z <= ~word_q; end assign y = q;")
    assert "TRELLIS_FF" in readers(made)


@pytest.mark.parametrize(
    "statements",
    [
        "always_ff @(posedge clk) if (go) q <= word_q; assign y = q; assign z = '0;",
        "always_ff @(posedge clk) q <= go ? word_q : '0; assign y = q; assign z = '0;",
        "always_ff @(posedge clk) q <= word_q; assign y = q; assign z = word_q;",
    ],
    ids=["enable", "reset", "two readers"],
)
def test_a_register_stays_behind_the_choice(tmp_path: Path, statements: str) -> None:
    assert readers(cells(tmp_path, statements)) & {"LUT4", "PFUMX", "L6MUX21"}
