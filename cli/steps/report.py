"""The page and the figures, from what the steps before left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import resources, train
from spikegpt_hls.hls.dataflow import Dataflow


def make(request: Request) -> None:
    """The co-simulation if it is out of date, and the report, which is written with it; what is projected for a size
    that cannot be run."""
    from spikegpt_hls.cli.steps import cosim, projected
    from spikegpt_hls.sim.parts import named

    named(request.options.get("part"))
    if request.workspace.preset in projected.PRESETS:
        projected.make(request)
    else:
        cosim.make(request)


def write(request: Request, cosim: Mapping[str, Any]) -> Path:
    """``report/index.html``, whose path is returned, and ``report/report.json``."""
    from spikegpt_hls.sim.cycles.schedule import simulate
    from spikegpt_hls.sim.energy.model import energy
    from spikegpt_hls.sim.report.page import write_report
    from spikegpt_hls.sim.report.results import Results

    workspace = request.workspace
    dataflow = Dataflow.from_json(json.loads((workspace.rtl / "dataflow.json").read_text()))
    with np.load(workspace.vectors, allow_pickle=False) as arrays:
        traces = {name: arrays[name] for name in arrays.files}
    used = resources.found(request)
    results = Results(
        dataflow=dataflow,
        traces=traces,
        schedule=simulate(dataflow, cosim["tokens"]),
        energy=energy(dataflow, traces),
        metrics=train.make(request),
        cosim=cosim,
        resources=used,
        accountings=_accountings(request),
        projected=_projected(request, dataflow, used) if used else None,
        target=workspace.target,
    )
    return write_report(workspace.folder, results)


def _accountings(request: Request) -> dict[str, Any] | None:
    """What ``make accountings`` left, of this network as it is."""
    from spikegpt_hls.cli.steps import accountings

    return accountings.found(request)


def _projected(request: Request, dataflow: Dataflow, used: Mapping[str, Any]) -> dict[str, Any] | None:
    """On named parts; None where the resources are those of another family than the parts' own."""
    from spikegpt_hls.cli.steps import folding
    from spikegpt_hls.sim.parts import named
    from spikegpt_hls.sim.projection.project import as_json, project
    from spikegpt_hls.sim.resources.synthesis import FAMILY

    if used["family"] != FAMILY:
        return None
    clock = request.step("", (), (), folding.DEFAULTS).settings["clock"]
    found = project(dataflow, used["total"], named(request.options.get("part")), clock, whole=True)
    return as_json(dataflow, found, f"make report preset={request.workspace.preset} target=xilinx", whole=True)
