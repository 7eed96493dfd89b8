"""What Yosys reads of a block: its sources with given parameters."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikegpt_hls.sim.resources.tools import literal


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
