"""What the user asked for: the options of every command, gathered once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from spikegpt_hls.cli.step import Step
from spikegpt_hls.cli.workspace import Workspace


def leads() -> bool:
    """Whether this is the process that speaks and writes: the first of those that ``torchrun`` started, or the only."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"


@dataclass(frozen=True)
class Request:
    """Where to work, and the settings that were named; None stands for "not named"."""

    workspace: Workspace
    options: Mapping[str, Any]
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True, quiet=not leads()))

    def step(self, name: str, inputs: tuple[Path, ...], outputs: tuple[Path, ...], defaults: Mapping[str, Any]) -> Step:
        """The step ``name``; its defaults name the options that concern it."""
        asked = {key: value for key in defaults if (value := self.options.get(key)) is not None}
        return Step(self.workspace.stamp(name), inputs, outputs, defaults, asked)

    def say(self, message: str) -> None:
        self.console.print(message, markup=False)
