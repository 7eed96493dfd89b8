"""QONNX to hardware: SystemVerilog for every target, and for ``xilinx`` a Vitis HLS project and resources too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import export, folding
from spikegpt_hls.cli.workspace import replacing
from spikegpt_hls.hls import dataflow as hls_dataflow
from spikegpt_hls.hls.dataflow import Dataflow

TARGETS = ("verilog", "xilinx")
SOURCES = Path(hls_dataflow.__file__).parent


def make(request: Request) -> None:
    """``hls/<target>/`` of the workspace."""
    export.make(request)
    workspace = request.workspace
    outputs = (workspace.rtl / "spikegpt.sv", *((workspace.resources,) if workspace.target == "xilinx" else ()))
    # our own blocks and kernels are inputs too: another version of them makes other hardware
    step = folding.settled(
        request.step(f"hls-{workspace.target}", (workspace.onnx, SOURCES), outputs, folding.DEFAULTS)
    )
    if step.up_to_date:
        return
    folded = folding.chosen(request, step.settings)
    with replacing(workspace.hls) as folder:
        dataflow = _write_rtl(request, folder, folded)
        folding.write(dataflow, folder)
        if workspace.target == "xilinx":
            _write_xilinx(request, folder, folded, dataflow)
    step.done()
    request.say(f"hls: {workspace.hls}")


def _write_rtl(request: Request, folder: Path, folded: Mapping[str, Any]) -> Dataflow:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.graph import dataflow

    with request.console.status("hls: QONNX to SystemVerilog by hls4ml and the SpikeRTL backend"):
        graph = convert(request.workspace.onnx, folder, backend="SpikeRTL", **folded)
        graph.write()
    return dataflow(graph)


def _write_xilinx(request: Request, folder: Path, folded: Mapping[str, Any], dataflow: Dataflow) -> None:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.vitis.synthesis import synthesize
    from spikegpt_hls.sim.resources import resources

    with request.console.status("hls: the Vitis HLS project"):
        # the kernels keep one state: their C simulation takes one sequence after the other
        graph = convert(request.workspace.onnx, folder / "vitis", backend="Vitis", **{**folded, "contexts": 1})
        graph.write()
    with request.console.status("hls: C simulation against the golden vectors"):
        simulation = c_simulation(graph, request.workspace.vectors)
    request.say(f"hls: C simulation equals the golden vectors in {simulation['compared']:,} values")
    report, reason = synthesize(graph)
    if reason:
        request.say(f"hls: not run: {reason}")
    found = resources(dataflow, folder / "rtl", request.workspace.folder / "cache", console=request.console)
    write_json(folder / "resources.json", {**found, "c_simulation": simulation, "vitis": report, "not_run": reason})


def c_simulation(graph: Any, vectors: Path) -> dict[str, int]:
    """Values compared between the compiled C++ and the golden vectors; MismatchError where one is not equal."""
    from spikegpt_hls.hls.csim import simulate

    with np.load(vectors, allow_pickle=False) as golden:
        ends = np.cumsum(golden["lengths"])[:-1]
        found = simulate(graph, np.split(golden["tokens"], ends))
        compared = 0
        for name, parts in found.items():
            got, want = np.concatenate(parts), golden[name]
            if not np.array_equal(got, want):
                token, channel = (int(axis[0]) for axis in np.nonzero(got != want))
                raise MismatchError(f"C simulation differs first at block {name}, channel {channel}, token {token}")
            compared += want.size
    return {"compared": compared, "mismatches": 0}


def resources_of(request: Request) -> dict[str, Any] | None:
    """``resources.json`` where this target has one."""
    path = request.workspace.resources
    return json.loads(path.read_text()) if path.exists() else None


def show(request: Request) -> None:
    """The folding of each Linear, and the resources where they were estimated."""
    workspace = request.workspace
    folding.show(request, Dataflow.from_json(json.loads((workspace.rtl / "dataflow.json").read_text())))
    _show_resources(request)
    request.say(f"RTL: {workspace.rtl}")


def _show_resources(request: Request) -> None:
    from rich.table import Table

    found = resources_of(request)
    if found is None:
        return
    table = Table("block", "LUT", "FF", "DSP", "BRAM36", title=f"{found['family']}, {found['tool']}")
    rows = {**found["blocks"], "total": found["total"]}
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:g}" for key in ("lut", "ff", "dsp", "bram36")))
    request.console.print(table)
    request.say(f"Vitis project: {request.workspace.hls / 'vitis'}")
    if found["not_run"]:
        request.say(f"not run: {found['not_run']}")
