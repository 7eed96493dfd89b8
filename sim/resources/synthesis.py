"""LUT, FF, DSP and BRAM of every block on Xilinx 7 series, synthesised by Yosys (``synth_xilinx -family xc7``).

Measured after synthesis and before place and route, which no open tool does for these parts: no clock frequency
follows from it. Blocks that differ only in the contents of their memories share the synthesis of the first of them
(contents move the LUTs of a small ROM by about 1 %, and nothing else), which is kept in the cache of builds.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.sim.resources import tools
from spikegpt_hls.sim.resources.tools import Modules, Parameters, Progress

FAMILY = "xc7"
FLOW = f"synth_xilinx -family {FAMILY} -flatten -noiopad -noclkbuf"

#: LUT6 sites of a SLICEM that each memory cell occupies (UG474, distributed RAM and shift registers).
LUT_RAM = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
    "RAM32M": 4, "RAM64M": 4, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
}  # fmt: skip
#: BRAM36 that each block RAM cell occupies.
BRAM = {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "FIFO36E1": 1.0, "FIFO18E1": 0.5}
NOTHING: Mapping[str, str] = MappingProxyType({})


def resources(dataflow: Dataflow, rtl_dir: Path, console: Console | None = None) -> dict[str, Any]:
    """``resources.json`` for the RTL that ``hls.rtl.writer`` wrote of ``dataflow``; progress on ``console``."""
    modules = tools.modules(dataflow)
    if console is None:
        return synthesize(rtl_dir, modules)
    with console.status("resources: Yosys") as status:

        def show(name: str, done: int, total: int) -> None:
            status.update(f"resources: Yosys, {done} of {total} modules, {name} done")

        return synthesize(rtl_dir, modules, show)


def synthesize(
    rtl_dir: Path,
    modules: Modules,
    progress: Progress = lambda name, done, total: None,
    outside: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """``resources.json`` for ``modules``, block name to (top module, parameters), of the SystemVerilog in ``rtl_dir``.

    ``outside`` names, by block, a memory that is left out: what it reads comes as from a port. SimulationError where
    Yosys refuses a module.
    """
    inputs = {name: tools.inputs(rtl_dir, module, parameters) for name, (module, parameters) in modules.items()}
    first: dict[str, str] = {}  # of each shape
    flows = {name: _flow(module, outside.get(name)) for name, (module, _) in modules.items()}
    shapes = {name: tools.shape(flows[name], *modules[name], inputs[name]) for name in modules}
    for name, shape in shapes.items():
        first.setdefault(shape, name)
    # The version is asked first: the first call compiles Yosys, which must not happen twice at once.
    tool = f"{tools.yosys_version()}, {FLOW}"
    cells: dict[str, dict[str, int]] = {}

    def run(name: str) -> None:
        cells[name] = _yosys(name, *modules[name], inputs[name], flows[name])

    tools.run_all(run, first.values(), progress)
    blocks = {name: count(cells[first[shape]]) for name, shape in shapes.items()}
    total = {key: sum(block[key] for block in blocks.values()) for key in count({})}
    return {"family": FAMILY, "tool": tool, "provenance": "measured", "blocks": blocks, "total": total}


def count(cells: Mapping[str, int]) -> dict[str, float]:
    """Resources of a netlist from its cells by type. An inverter that Yosys leaves is a LUT; CARRY4 stands apart."""
    lut = sum(n for cell, n in cells.items() if re.fullmatch(r"LUT[1-6]|INV", cell))
    lut_ram = sum(n * LUT_RAM.get(cell, 0) for cell, n in cells.items())
    return {
        "lut": lut + lut_ram,
        "ff": sum(n for cell, n in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?|LD[CP]E", cell)),
        "dsp": cells.get("DSP48E1", 0),
        "bram36": sum(n * BRAM.get(cell, 0.0) for cell, n in cells.items()),
        "lut_ram": lut_ram,
        "carry4": cells.get("CARRY4", 0),
    }


def _flow(module: str, outside: str | None) -> str:
    """The commands that synthesise a module. A memory that stays outside is cut off before memories are mapped."""
    whole = f"{FLOW} -top {module}"
    if outside is None:
        return whole
    cut = f"setattr -set keep 1 w:address w:address_q\ncutpoint t:$mem_v2 r:MEMID=\\{outside} %i"
    return f"{whole} -run begin:map_memory\n{cut}\n{whole} -run map_memory:"


def _yosys(block: str, module: str, parameters: Parameters, inputs: Mapping[str, bytes], flow: str) -> dict[str, int]:
    """Cells by type of one module."""
    with tempfile.TemporaryDirectory(prefix="yosys") as folder:
        tools.place_files(inputs, Path(folder))
        script = [
            *tools.read_commands(module, parameters, inputs),
            flow,
            "tee -q -o stat.json stat -json",
        ]
        tools.yosys(script, Path(folder), ["stat.json"], f"{block}: ")
        stat = json.loads(Path(folder, "stat.json").read_text())
    return {cell: int(n) for cell, n in stat["design"]["num_cells_by_type"].items()}
