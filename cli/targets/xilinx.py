"""``xilinx``: resources on 7 series by Yosys, and a Vitis HLS project whose C simulation is checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.steps import resources
from spikegpt_hls.cli.targets import Build, Target
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import TOKENIZER, Workspace
from spikegpt_hls.hls.rtl import rows


def finish(build: Build) -> None:
    """``ip/``, ``resources.json``, and ``vitis/`` where weights lie on the chip."""
    from spikegpt_hls.hls.ip import writer as ip
    from spikegpt_hls.sim.resources.synthesis import resources as synthesised

    place, console = build.place, build.console
    ip.write(build.dataflow, build.folder / "ip")
    if place.task:  # whose sentences the driver takes as text
        shutil.copyfile(place.path(TOKENIZER), build.folder / "ip" / TOKENIZER)
    if rows.of(build.dataflow):
        vitis = {"c_simulation": None, "vitis": None, "not_run": "a Vitis project has its weights on the chip"}
    else:
        vitis = _vitis(build)
    if vitis["not_run"]:
        say(console, f"hls: not run: {vitis['not_run']}")
    write_json(build.folder / "resources.json", {**synthesised(build.dataflow, build.rtl, console=console), **vitis})


def _vitis(build: Build) -> dict[str, Any]:
    """Write ``vitis/``; what its C simulation and its C synthesis found, or why the latter was not run."""
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.vitis.synthesis import synthesize

    place, console = build.place, build.console
    with console.status("hls: the Vitis HLS project"):
        graph = convert(place.onnx, build.folder / "vitis", backend="Vitis", **_for_kernels(build.folded))
        graph.write()
    with console.status("hls: C simulation against the golden vectors"):
        simulation = c_simulation(graph, place.vectors)
    say(console, f"hls: C simulation equals the golden vectors in {simulation['compared']:,} values")
    report, reason = synthesize(graph)
    return {"c_simulation": simulation, "vitis": report, "not_run": reason}


def _for_kernels(folded: Mapping[str, Any]) -> dict[str, Any]:
    """The kernels are one layer's and keep one state, so that their C simulation takes one sequence after the other;
    they add zeros, too, and a Linear that skips them in the RTL is folded there as it would be alone."""
    factors = folded["reuse_factor"]
    if isinstance(factors, Mapping):
        factors = {name: factor for name, factor in factors.items() if name not in folded["events"]}
    return {**folded, "contexts": 1, "events": (), "reuse_factor": factors}


def c_simulation(graph: Any, vectors: Path) -> dict[str, int]:
    """Values compared between the compiled C++ and the golden vectors; MismatchError where one is not equal."""
    from spikegpt_hls.hls.vitis.csim import simulate

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


def show(place: Workspace, console: Console) -> None:
    found = resources.show(place, console)
    if found["c_simulation"]:
        say(console, f"Vitis project: {place.hls / 'vitis'}")
    say(console, f"IP for Vivado: {place.hls / 'ip' / 'package_ip.tcl'} (not run: needs Vivado)")
    if found["not_run"]:
        say(console, f"not run: {found['not_run']}")


TARGET = Target(
    "xilinx",
    "the RTL, its resources on 7 series by Yosys, a Vitis HLS project with its C simulation checked",
    memory=True,
    outputs=("resources.json",),
    finish=finish,
    show=show,
)
