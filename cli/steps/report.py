"""The page and the figures, from what the steps before left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.steps import resources, runs
from spikegpt_hls.cli.workspace import ACCOUNTINGS, CHECKPOINT, RTL, Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints


@dataclass(frozen=True)
class Parts(Settings):
    """Which hardware a projection is for."""

    part: str | None = setting(None, "One part of sim/parts.json.", example="XC7A100T", otherwise="all")


def check(place: Workspace, settings: Parts) -> None:
    from spikegpt_hls.sim.parts import named

    named(settings.part)


def run(place: Workspace, settings: Parts, console: Console) -> None:
    """``report/index.html`` and ``report.json``."""
    from spikegpt_hls.cli.steps.cosim import sent
    from spikegpt_hls.rtl_tests.top.cosim import LATENCY
    from spikegpt_hls.sim.cycles.schedule import simulate
    from spikegpt_hls.sim.energy.model import energy
    from spikegpt_hls.sim.report.page import write_report
    from spikegpt_hls.sim.report.results import Results
    from spikegpt_hls.sim.traces import asked

    cosim = json.loads(place.cosim.read_text())
    dataflow = Dataflow.from_json(json.loads(place.dataflow.read_text()))
    with np.load(place.vectors, allow_pickle=False) as arrays:
        traces = {name: arrays[name] for name in arrays.files}
    used = resources.found(place)
    fired = {name: np.array(counts) for name, counts in cosim.get("events", {}).items()}
    results = Results(
        dataflow=dataflow,
        traces=traces,
        schedule=simulate(
            dataflow, cosim["tokens"], events=fired, asked=asked(dataflow, *sent(dataflow, traces), LATENCY)
        ),
        energy=energy(dataflow, traces),
        metrics=json.loads(place.metrics.read_text()),
        cosim=cosim,
        resources=used,
        accountings=accountings(place),
        projected=_projected(place, settings, dataflow, used, traces) if used else None,
        run=runs.name(place),
        runs=runs.runs(place),
        target=place.target,
    )
    write_report(place.folder, results)


def network(place: Workspace) -> dict[str, str]:
    """Which network, folded how, a result is of."""
    return record.digests(place.folder, (CHECKPOINT, f"{RTL}/dataflow.json".format(target=place.target)))


def accountings(place: Workspace) -> dict[str, Any] | None:
    """What ``make accountings`` left, where it is of the network as it is now."""
    try:
        made: dict[str, Any] = json.loads(place.path(ACCOUNTINGS).read_text())
    except (OSError, ValueError):
        return None
    return made if made.get("made_of") == network(place) else None


def _projected(
    place: Workspace, settings: Parts, dataflow: Dataflow, used: Mapping[str, Any], traces: Mapping[str, Ints]
) -> dict[str, Any] | None:
    """On named parts; None where the resources are those of another family than the parts' own."""
    from spikegpt_hls.sim.energy.actions import activity
    from spikegpt_hls.sim.parts import named
    from spikegpt_hls.sim.projection.project import as_json, project
    from spikegpt_hls.sim.resources.synthesis import FAMILY
    from spikegpt_hls.sim.traces import events

    if used["family"] != FAMILY:
        return None
    hardware = record.read(place.stamp(f"hls-{place.target}"))
    clock = hardware.settings.get("clock", 100.0) if hardware else 100.0
    found = project(
        dataflow,
        used["total"],
        named(settings.part),
        clock,
        whole=True,
        events=events(dataflow, traces),
        counted=activity(dataflow, traces),
    )
    return as_json(dataflow, found, f"make report preset={place.preset} target=xilinx", whole=True)
