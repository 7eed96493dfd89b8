"""One network in one folding: its loss, speed, size and energy, by the same steps as every other command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import HLS

PART = "XC7A100T"  # whose share the area is


@dataclass(frozen=True)
class Figures:
    """``bits`` per token of held-out text (measured, integer model), ``tokens_per_s`` (cycles by simulation, at an
    assumed clock), ``area`` (``sim.area``: the mean share of LUT, DSP and block RAM that a part has), ``energy`` in nJ
    per token (derived)."""

    bits: float
    tokens_per_s: float
    area: float
    energy: float
    lut: float
    dsp: float
    bram36: float


#: What is searched for, and whether less of it is better.
OBJECTIVES = {"bits": True, "tokens_per_s": False, "area": True, "energy": True}


def figures(runner: Runner, clock: float) -> Figures:
    """Of the network and the folding that the runner's settings describe; trains it where its folder has none.

    ``clock`` in MHz.
    """
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.sim.cycles.schedule import simulate
    from spikegpt_hls.sim.energy.model import energy
    from spikegpt_hls.sim.parts import parts
    from spikegpt_hls.sim.resources import area
    from spikegpt_hls.sim.traces import events

    runner.make(HLS)
    place = runner.place
    dataflow = Dataflow.from_json(json.loads(place.dataflow.read_text()))
    with np.load(place.vectors, allow_pickle=False) as arrays:
        traces = {name: arrays[name] for name in arrays.files}
    schedule = simulate(dataflow, len(traces["tokens"]), events=events(dataflow, traces))  # as many as the report's
    total = area.estimate(dataflow, place.folder / "nominal")["total"]
    part = next(part for part in parts() if part.name == PART)
    return Figures(
        bits=json.loads(place.metrics.read_text())["val_bits_integer"],
        tokens_per_s=clock * 1e6 / schedule.cycles_per_token,
        area=area.share(total, part),
        energy=energy(dataflow, traces).joules_per_token * 1e9,
        **{kind: total[kind] for kind in area.KINDS},
    )


def command(preset: str, options: Mapping[str, Any], folder: str) -> str:
    """What rebuilds it: the same network, verified and reported, with its resources measured block by block."""
    given = " ".join(f"{name}={value}" for name, value in options.items() if value is not None)
    return f"make report target=xilinx preset={preset} build={folder} {given}"
