"""The targets of ``make hls``: each module of this folder holds one ``TARGET``, so that adding a file adds a target."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import XC7_MULTIPLIER, Dataflow


@dataclass(frozen=True)
class Build:
    """What a target works on once ``rtl/`` is written: ``folder`` becomes ``hls/<target>/`` when all is done."""

    place: Workspace
    console: Console
    folder: Path
    folded: Mapping[str, Any]  # the arguments of ``hls.convert.convert``
    dataflow: Dataflow

    @property
    def rtl(self) -> Path:
        """The SystemVerilog and the memory images of the model; a target with a top of its own writes it here, too."""
        return self.folder / "rtl"


def _nothing(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Target:
    """What is made of a model for one family or board.

    ``multiplier`` are the signed operand bits of the family's multipliers, which the Linears share among products.
    ``finish`` goes on from the RTL and writes ``outputs`` into the build's folder; ``show`` tells what they say.
    """

    name: str
    summary: str  # one line, for help and README
    multiplier: tuple[int, int] = XC7_MULTIPLIER
    budget: int | None = None  # multipliers of the Linears where no folding is asked for; None: as many as it takes
    lanes: int | None = None  # at most, there: the other blocks' multipliers grow with them
    memory: bool = False  # whether it is built with weights in a memory outside, too
    outputs: tuple[str, ...] = ()
    finish: Callable[[Build], None] = _nothing
    show: Callable[[Workspace, Console], None] = _nothing


@cache
def targets() -> dict[str, Target]:
    """Every target by name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.TARGET.name: module.TARGET for module in modules}


def target(name: str) -> Target:
    """The target called ``name``; BadParameter lists the known ones."""
    if name not in targets():
        raise click.BadParameter(f"unknown target {name!r}: choose one of {', '.join(targets())}")
    return targets()[name]
