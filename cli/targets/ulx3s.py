"""``ulx3s``: a bitstream for the board of that name (LFE5U-85F), whose serial port continues text."""

from __future__ import annotations

from rich.console import Console

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.steps import resources
from spikegpt_hls.cli.targets import Build, Target, ecp5
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.rtl import rows


def finish(build: Build) -> None:
    """``spikegpt.bit``, and ``resources.json`` of the whole board."""
    from spikegpt_hls.hls.boards import ulx3s, ulx3s_memory
    from spikegpt_hls.model import checkpoint
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.sim.errors import SimulationError
    from spikegpt_hls.sim.resources import place_route

    if rows.of(build.dataflow):
        ulx3s_memory.write(build.dataflow, build.rtl)
        clock = ulx3s_memory.CLOCK_HZ
    else:
        used = tokenizer.beside(build.place.checkpoint, checkpoint.header(build.place.checkpoint))
        characters = used.characters if isinstance(used, tokenizer.CharacterTokenizer) else ""
        ulx3s.write(build.dataflow, build.rtl, characters)
        clock = ulx3s.CLOCK_HZ
    found = ecp5.model(build, ulx3s.TOP, (build.rtl / ulx3s.PINS.name).read_bytes())
    if "not_run" in found:
        raise SimulationError(found["not_run"])
    total = {name: found[name] for name in place_route.count({})}
    made = {"family": place_route.FAMILY, "tool": place_route.flow(), "provenance": "measured", "model": found,
            "clock_mhz": clock / 1e6}  # fmt: skip
    write_json(build.folder / "resources.json", {**made, "blocks": {ulx3s.TOP: found}, "total": total})


def show(place: Workspace, console: Console) -> None:
    made = resources.show(place, console)
    routed, clock = made["model"]["fmax_mhz"], made["clock_mhz"]
    met = "met" if routed >= clock else "NOT met"
    say(console, f"routed: {routed:.1f} MHz (measured); the design's clock of {clock:g} MHz is {met}")
    say(console, f"bitstream: {place.hls / ecp5.BITSTREAM}; no board was at hand")


TARGET = Target(
    "ulx3s",
    "the RTL, and a bitstream for the board ULX3S (LFE5U-85F), whose serial port continues text",
    multiplier=ecp5.MULTIPLIER,
    budget=ecp5.BUDGET,
    lanes=ecp5.LANES,
    outputs=("resources.json", ecp5.BITSTREAM),
    finish=finish,
    show=show,
    memory=True,
)
