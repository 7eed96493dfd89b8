"""QONNX to hardware: SystemVerilog for every target, then what the target makes of it (``cli/targets``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.steps import activity, folding
from spikegpt_hls.cli.steps.folding import Folding
from spikegpt_hls.cli.targets import Build, Target
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import RTL, Workspace, replacing
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.rows import MEMORY


def outputs(place: Workspace) -> tuple[str, ...]:
    """The RTL, and what the target promises; what else a tool of the user's writes there is theirs."""
    return (RTL, *(f"hls/{{target}}/{name}" for name in targets.target(place.target).outputs))


def run(place: Workspace, settings: Folding, console: Console) -> None:
    """``hls/<target>/`` of the workspace."""
    target = targets.target(place.target)
    if settings.weights == MEMORY and not target.memory:
        raise ConversionError(f"weights=memory is not built for target={place.target} yet: target=verilog has it")
    folded = folding.chosen(place, settings, target.budget, most_lanes=target.lanes)
    with replacing(place.hls) as folder:
        dataflow = _write_rtl(place, folder, {**folded, **settings.shape}, target, console)
        folding.write(dataflow, folder, activity.measured(place, dataflow))
        target.finish(Build(place, console, folder, folded, dataflow))
    for block in dataflow.blocks:
        if block.padding:
            own = block.channels_out - block.padding
            say(console, f"{block.name}: {own} outputs, and {block.padding} of 0 to fill beats of {block.lanes} lanes")
    say(console, f"hls: {place.hls}")


def _write_rtl(place: Workspace, folder: Path, folded: Mapping[str, Any], target: Target, console: Console) -> Dataflow:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.frontend.graph import dataflow

    with console.status("hls: QONNX to SystemVerilog by hls4ml and the SpikeRTL backend"):
        graph = convert(place.onnx, folder, "SpikeRTL", **folded, multiplier=target.multiplier)
        graph.write()
    return dataflow(graph)
