"""QONNX to hardware: SystemVerilog for every target, then what the target makes of it (``cli/targets``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import export, folding
from spikegpt_hls.cli.targets import Build, Target
from spikegpt_hls.cli.workspace import replacing
from spikegpt_hls.hls import dataflow as hls_dataflow
from spikegpt_hls.hls.dataflow import Dataflow

#: Our own blocks, kernels and targets are inputs too: another version of them makes other hardware.
SOURCES = (Path(hls_dataflow.__file__).parent, Path(targets.__file__).parent)


def make(request: Request) -> None:
    """``hls/<target>/`` of the workspace."""
    export.make(request)
    workspace, target = request.workspace, targets.target(request.workspace.target)
    outputs = (workspace.rtl / "spikegpt.sv", *(workspace.hls / name for name in target.outputs))
    step = folding.settled(request.step(f"hls-{target.name}", (workspace.onnx, *SOURCES), outputs, folding.DEFAULTS))
    if step.up_to_date:
        return
    folded = folding.chosen(request, step.settings, target.budget)
    with replacing(workspace.hls) as folder:
        dataflow = _write_rtl(request, folder, folded, target)
        folding.write(dataflow, folder)
        target.finish(Build(request, folder, folded, dataflow))
    step.done()
    request.say(f"hls: {workspace.hls}")


def _write_rtl(request: Request, folder: Path, folded: Mapping[str, Any], target: Target) -> Dataflow:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.frontend.graph import dataflow

    with request.console.status("hls: QONNX to SystemVerilog by hls4ml and the SpikeRTL backend"):
        graph = convert(request.workspace.onnx, folder, "SpikeRTL", **folded, multiplier=target.multiplier)
        graph.write()
    return dataflow(graph)


def show(request: Request) -> None:
    """The folding of each Linear, and what the target has to tell."""
    workspace = request.workspace
    folding.show(request, Dataflow.from_json(json.loads((workspace.rtl / "dataflow.json").read_text())))
    targets.target(workspace.target).show(request)
    request.say(f"RTL: {workspace.rtl}")
