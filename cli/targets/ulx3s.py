"""``ulx3s``: a bitstream for the board of that name (LFE5U-85F), whose serial port continues text."""

from __future__ import annotations

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.targets import Build, Target


def finish(build: Build) -> None:
    """``ulx3s.bit``, and ``resources.json`` of the whole board."""
    from spikegpt_hls.hls.boards import ulx3s
    from spikegpt_hls.sim import place_route, tools

    ulx3s.write(build.dataflow, build.rtl)
    with build.request.console.status("hls: synthesis, placement and routing for the LFE5U-85F"):
        found = place_route.placed(
            ulx3s.TOP,
            ulx3s.TOP,
            {},
            tools.inputs(build.rtl, ulx3s.TOP, {}),
            build.request.workspace.folder / "cache",
            ulx3s.CLOCK_HZ / 1e6,
            constraints=ulx3s.PINS.read_bytes(),
            bitstream=build.folder / "ulx3s.bit",
        )
    total = {name: found[name] for name in ("lut", "ff", "dsp", "bram36")}
    made = {"family": place_route.FAMILY, "tool": place_route.flow(), "provenance": "measured"}
    write_json(build.folder / "resources.json", {**made, "blocks": {ulx3s.TOP: found}, "total": total})


def show(request: Request) -> None:
    from spikegpt_hls.cli.steps import resources

    found = resources.show(request)
    fmax = found["blocks"]["ulx3s"]["fmax_mhz"]
    request.say(f"bitstream: {request.workspace.hls / 'ulx3s.bit'} (routed for 25 MHz, {fmax} MHz would do)")


TARGET = Target(
    "ulx3s",
    "the RTL, and a bitstream for the board ULX3S (LFE5U-85F), whose serial port continues text",
    multiplier=(18, 18),
    outputs=("ulx3s.bit", "resources.json"),
    finish=finish,
    show=show,
)
