"""``ecp5``: every block and the whole model placed and routed on a Lattice ECP5, with a bitstream; nothing to buy."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.steps import resources
from spikegpt_hls.cli.targets import Build, Target
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace

#: Of an ECP5's multipliers, which have no wider side.
MULTIPLIER = (18, 18)
BITSTREAM = "spikegpt.bit"
#: Multipliers of the Linears: leaves room for those of the other blocks among the 156 of an LFE5U-85F.
BUDGET = 64
LANES = 1
CLOCK = 100.0  # MHz, what the router aims at
EVERY = 30  # seconds between nextpnr's lines where there is no terminal


def finish(build: Build) -> None:
    """``resources.json`` and, where the model fits, ``spikegpt.bit``."""
    write_json(build.folder / "resources.json", {**blocks(build), "model": model(build, "spikegpt")})


def blocks(build: Build) -> dict[str, Any]:
    """Every block, placed by itself."""
    from spikegpt_hls.sim.resources import tools
    from spikegpt_hls.sim.resources.place_route import route

    with build.console.status("ecp5: Yosys and nextpnr") as status:

        def progress(name: str, done: int, total: int) -> None:
            status.update(f"ecp5: Yosys and nextpnr, {done} of {total} blocks, {name} done")

        return route(build.rtl, tools.modules(build.dataflow), progress)


def model(build: Build, top: str, constraints: bytes | None = None) -> dict[str, Any]:
    """The module ``top`` of the build's RTL, routed, with its bitstream; what stood in the way where it does not fit.

    ``constraints`` (LPF) give its ports to pins; without them it lies between registers.
    """
    from spikegpt_hls.sim.resources import tools
    from spikegpt_hls.sim.resources.place_route import FitError, placed

    files = tools.inputs(build.rtl, top, {})
    with build.console.status(f"ecp5: Yosys and nextpnr, {top}, which takes some minutes") as status:
        due = time.monotonic() + EVERY

        def hear(line: str) -> None:
            nonlocal due
            text = f"ecp5: nextpnr, {top}: {line.removeprefix('Info:').strip()}"
            status.update(escape(text))
            if not build.console.is_terminal and time.monotonic() >= due:
                say(build.console, text)
                due = time.monotonic() + EVERY

        try:
            return placed(top, top, {}, files, CLOCK, constraints, build.folder / BITSTREAM, hear)
        except FitError as reason:
            return {"not_run": str(reason)}


def show(place: Workspace, console: Console) -> None:
    made = resources.show(place, console)
    whole = made["model"]
    if "not_run" in whole:
        say(console, f"no bitstream: {whole['not_run']}")
    else:
        size = (place.hls / BITSTREAM).stat().st_size
        say(console, f"the whole model: {whole['fmax_mhz']:.1f} MHz (measured, {made['tool']})")
        say(console, f"bitstream: {place.hls / BITSTREAM}, {size:,} bytes")


TARGET = Target(
    "ecp5",
    "the RTL, every block and the whole model routed on a Lattice ECP5-85F by nextpnr, a bitstream",
    multiplier=MULTIPLIER,
    budget=BUDGET,
    lanes=LANES,
    outputs=("resources.json",),
    finish=finish,
    show=show,
)
