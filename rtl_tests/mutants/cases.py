"""The very cases of a block's bench: what its tests hand to ``bench.check``."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.blocks import files as sources
from spikegpt_hls.hls.rtl.blocks import images, module, parameters
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import bench


@dataclass(frozen=True)
class Design:
    """A module as a tool reads it: its sources and memory images by their paths in one folder, and its parameters."""

    top: str
    sources: Mapping[str, str]
    images: Mapping[str, str]
    parameters: Mapping[str, int | str]  # a string is the path of an image, in quotes

    @classmethod
    def of(cls, block: Block) -> Design:
        memories = images(block)
        files = {f"{name}.hex": image.hex() for name, image in memories.items()}
        values: dict[str, int | str] = {**parameters(block), **{name: f'"{name}.hex"' for name in memories}}
        top = module(block)
        return cls(top, {path.name: path.read_text() for path in sources(top)}, files, values)

    def write(self, folder: Path) -> list[Path]:
        """Put it into an empty folder; the paths of its sources."""
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in {**self.sources, **self.images}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return [folder / name for name in self.sources]

    def __str__(self) -> str:
        """What an instance of it begins with."""
        values = ", ".join(f".{name}({value})" for name, value in self.parameters.items())
        return f"{self.top} #({values})" if values else self.top


@dataclass(frozen=True)
class Case:
    block: Block
    streams: Sequence[Ints]
    lengths: Sequence[int]
    test: str | None  # the only run of this case, or all


@cache
def cases(name: str) -> tuple[Case, ...]:
    """All cases of the module's ``test_<name>.py`` but those that are meant to fail and the soak's."""
    found: list[Case] = []
    here = Path(bench.__file__).parent
    path = next(path for room in ("blocks", "linears") if (path := here / room / f"test_{name}.py").is_file())

    def record(
        block: Block,
        streams: Sequence[Ints],
        lengths: Sequence[int],
        *corrupt: Any,
        test: str | None = None,
        **more: Any,
    ) -> None:
        if not corrupt and not more:
            found.append(Case(block, streams, lengths, test))

    original, bench.check = bench.check, record  # type: ignore[assignment]
    # A module that was imported before has the true `check`.
    before = {key: module for key, module in sys.modules.items() if getattr(module, "__file__", None) == str(path)}
    for key in before:
        del sys.modules[key]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["-q", "-m", "not soak", "-p", "no:xdist", "-p", "no:cacheprovider", str(path)])
    finally:
        bench.check = original  # type: ignore[assignment]
        sys.modules.update(before)
    return tuple(found)
