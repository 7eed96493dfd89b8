"""Where the files of a run lie: ``build/<preset>/``, as README and DESIGN name them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT, METRICS, TOKENIZER = "checkpoint.safetensors", "metrics.json", "tokenizer.json"
ONNX, ONNX_STEP, VECTORS = "model.onnx", "model_step.onnx", "vectors.npz"
RTL, RESOURCES = "hls/{target}/rtl", "hls/{target}/resources.json"
COSIM, ACCOUNTINGS, SENTENCES = "cosim.json", "accountings.json", "sentences.json"
TASK = "nlu-"  # and a task's name, in place of a preset
PAGE, FIGURES = "report/index.html", "report.json"


@dataclass(frozen=True)
class Workspace:
    """The folder of one preset, and its parts."""

    folder: Path
    preset: str
    target: str = "verilog"

    @property
    def task(self) -> str:
        """Whose classifier is made here; empty where it is a preset's language model."""
        return self.preset.removeprefix(TASK) if self.preset.startswith(TASK) else ""

    def path(self, name: str) -> Path:
        """Of one of the names above."""
        return self.folder / name.format(target=self.target)

    @property
    def checkpoint(self) -> Path:
        return self.path(CHECKPOINT)

    @property
    def metrics(self) -> Path:
        return self.path(METRICS)

    @property
    def onnx(self) -> Path:
        return self.path(ONNX)

    @property
    def vectors(self) -> Path:
        return self.path(VECTORS)

    @property
    def hls(self) -> Path:
        return self.folder / "hls" / self.target

    @property
    def rtl(self) -> Path:
        return self.path(RTL)

    @property
    def dataflow(self) -> Path:
        return self.rtl / "dataflow.json"

    @property
    def resources(self) -> Path:
        return self.path(RESOURCES)

    @property
    def cosim(self) -> Path:
        return self.path(COSIM)

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
