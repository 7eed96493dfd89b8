"""The page and the figures, from what the steps before left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import resources, train


def make(request: Request) -> None:
    """The co-simulation if it is out of date, and the report, which is written with it."""
    from spikegpt_hls.cli.steps import cosim

    cosim.make(request)


def write(request: Request, cosim: Mapping[str, Any]) -> Path:
    """``report/index.html``, whose path is returned, and ``report/report.json``."""
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.sim.cycles import simulate
    from spikegpt_hls.sim.energy import energy
    from spikegpt_hls.sim.report import Results, write_report

    workspace = request.workspace
    dataflow = Dataflow.from_json(json.loads((workspace.rtl / "dataflow.json").read_text()))
    with np.load(workspace.vectors, allow_pickle=False) as arrays:
        traces = {name: arrays[name] for name in arrays.files}
    results = Results(
        dataflow=dataflow,
        traces=traces,
        schedule=simulate(dataflow, cosim["tokens"]),
        energy=energy(dataflow, traces),
        metrics=train.make(request),
        cosim=cosim,
        resources=resources.found(request),
        target=workspace.target,
    )
    return write_report(workspace.folder, results)
