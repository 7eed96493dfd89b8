"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles.schedule import Schedule
from spikegpt_hls.sim.energy.model import EnergyReport


@dataclass(frozen=True)
class Results:
    """Everything the page shows; the optional parts appear where they were made."""

    dataflow: Dataflow
    traces: Mapping[str, Ints]  # vectors.npz
    schedule: Schedule
    energy: EnergyReport
    metrics: Mapping[str, Any]  # metrics.json
    cosim: Mapping[str, Any] | None = None  # cosim.json
    resources: Mapping[str, Any] | None = None  # resources.json
    accountings: Mapping[str, Any] | None = None  # accountings.json
    projected: Mapping[str, Any] | None = None  # to named parts (sim/projection/project.py)
    run: str = ""  # this training's name among them
    runs: Sequence[Mapping[str, Any]] = ()  # trainings in the same build folder: name, kind, events_share, bits
    target: str = "verilog"

    @property
    def preset(self) -> str:
        return str(self.metrics["preset"])

    def command(self, goal: str) -> str:
        return f"make {goal} preset={self.preset}" + ("" if goal == "train-qat" else f" target={self.target}")

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        return [int(length) for length in self.traces.get("lengths", [self.energy.tokens])]

    @property
    def starts(self) -> list[int]:
        """The first token of each sequence but the first."""
        return [int(start) for start in np.cumsum(self.lengths)[:-1]]
