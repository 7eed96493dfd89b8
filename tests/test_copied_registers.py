"""Registers of an ECP5 that many read: which get copies, and that these read what the register reads."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from spikegpt_hls.sim.resources import place_route
from spikegpt_hls.sim.resources.copied_registers import READERS

WIDTH = READERS + 22
PART = """
module part (input logic clk, rst, input logic [{high}:0] x, output logic [{high}:0] y);
  always_ff @(posedge clk) if (rst) y <= '0; else y <= x + 1'b1;
endmodule
module top (input logic clk, go, input logic [{high}:0] x, output logic [{high}:0] a, b);
  logic rst;
  always_ff @(posedge clk) rst <= go;
  part u_first (.clk, .rst, .x, .y(a));
  {second}
endmodule
"""
TWO = "part u_second (.clk, .rst, .x(~x), .y(b));"


def cells(folder: Path, width: int, second: str) -> dict[str, dict[str, Any]]:
    (folder / "top.sv").write_text(PART.format(high=width - 1, second=second))
    place_route.synthesize("top", "top", {}, ["top.sv"], folder)
    return dict(json.loads((folder / "netlist.json").read_text())["modules"]["top"]["cells"])


def resets(made: dict[str, dict[str, Any]], ports: str) -> Counter[int]:
    """The nets that the resets of those registers read whose outputs are the ports of the top."""
    return Counter(
        cell["connections"]["LSR"][0]
        for name, cell in made.items()
        if cell["type"] == "TRELLIS_FF" and name.startswith(f"{ports}_")
    )


def test_each_instance_has_a_reset_of_its_own(tmp_path: Path) -> None:
    made = cells(tmp_path, WIDTH, TWO)
    (first,), (second,) = resets(made, "a"), resets(made, "b")
    assert first != second
    one, other = (cell for cell in made.values() if cell["connections"].get("Q", [None])[0] in (first, second))
    for port in ("CLK", "DI", "LSR"):
        assert one["connections"][port] == other["connections"][port]
    assert one["parameters"] == other["parameters"]


def test_all_of_an_instance_listen_to_it(tmp_path: Path) -> None:
    assert list(resets(cells(tmp_path, WIDTH, TWO), "a").values()) == [WIDTH]


def test_a_register_that_few_read_stays_alone(tmp_path: Path) -> None:
    made = cells(tmp_path, READERS // 2 - 8, TWO)
    assert resets(made, "a").keys() == resets(made, "b").keys()
