"""Where the files of a run lie: ``build/<preset>/``, as README and DESIGN name them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folder of one preset, and its parts."""

    folder: Path
    preset: str
    target: str = "verilog"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def onnx(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors.npz"

    @property
    def hls(self) -> Path:
        return self.folder / "hls" / self.target

    @property
    def rtl(self) -> Path:
        return self.hls / "rtl"

    @property
    def resources(self) -> Path:
        return self.hls / "resources.json"

    @property
    def cosim(self) -> Path:
        return self.folder / "cosim.json"

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def work(self) -> Path:
        """Simulator builds, taps and logs of the co-simulation."""
        return self.folder / "work" / self.target

    def stamp(self, step: str) -> Path:
        return self.folder / "stamps" / f"{step}.json"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``folder`` once it is whole; until then the old one stays."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
