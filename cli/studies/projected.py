"""The report of a size that cannot be run here: what it would do on named parts (``sim/projection/project.py``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.steps.report import Parts
from spikegpt_hls.cli.studies import size
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.hls.dataflow import Dataflow

#: Too large to be trained, simulated as RTL, or synthesised whole, within minutes.
PRESETS = ("46m", "216m")


def report(runner: Runner) -> None:
    """``report/index.html`` of the preset's folder, and ``projected.json``, shown."""
    from spikegpt_hls.sim.parts import named
    from spikegpt_hls.sim.projection.project import as_json, project
    from spikegpt_hls.sim.report.page import write_projected

    chosen = named(runner.told(Parts).part)
    sized = size.sized(runner)
    dataflow = Dataflow.from_json(json.loads((sized.hls / "dataflow.json").read_text()))
    total = json.loads(sized.resources.read_text())["total"]
    clock = json.loads((sized.hls / "memory.json").read_text())["clock_mhz"]
    network = json.loads(sized.metrics.read_text())
    events = {name: np.array([round(count)]) for name, count in network.get("events", {}).items()}
    with runner.console.status("report: projecting") as status:

        def show_part(part: str) -> None:
            status.update(f"report: projecting to {part}")

        found = project(dataflow, total, chosen, clock, show_part, events=events)
    content = as_json(dataflow, found, f"make report preset={runner.place.preset}")
    content = {"preset": runner.place.preset, "network": network, **content}
    path = runner.place.report / "projected.json"
    write_json(path, content)
    page = write_projected(runner.place.report, content)
    show(content, runner.console)
    runner.say(f"report: {page}, {path}")


FITS = {True: "yes", False: "no", None: "not known"}
WIDTH = 112  # of the table, where there is no terminal to fit


def show(content: Mapping[str, Any], console: Console) -> None:
    """One column per part, then what was assumed."""
    folding, parts = content["folding"], content["parts"]
    table = Table("", *parts, title=f"{content['preset']} at {content['clock_mhz']:g} MHz (assumed); all projected")
    for label, cell in ROWS.items():
        table.add_row(label, *(cell(row, _Values(row["figures"])) for row in parts.values()))
    if not console.is_terminal:
        console.width = max(WIDTH, console.width)
    console.print(table)
    say(
        console,
        f"{folding['multipliers']} multipliers, {folding['lanes']} lanes, {folding['cycles_per_token']:,g} cycles per "
        f"token where memory keeps up; constants {content['constant_bytes'] / 1e6:,.1f} MB, state "
        f"{content['state_bytes_per_text'] / 1e3:,.1f} kB per text",
    )
    say(console, "assumed:")
    for assumption in content["assumptions"]:
        say(console, f"  - {assumption}")


class _Values:
    """Figures by name, as numbers with so many digits behind the point."""

    def __init__(self, figures: Mapping[str, Any]) -> None:
        self._figures = figures

    def __call__(self, name: str, digits: int = 1, unit: float = 1.0) -> str:
        return f"{self._figures[name]['value'] / unit:,.{digits}f}"


ROWS: dict[str, Callable[[Mapping[str, Any], _Values], str]] = {
    "fits": lambda row, value: FITS[row["fits"]],
    "most used": lambda row, value: f"{row['tightest']} {row['used'][row['tightest']]:.0%}",
    "off chip, MB/token": lambda row, value: value("offchip_bytes", 2, 1e6),
    "bottleneck": lambda row, value: row["bottleneck"],
    "prompt, tokens/s": lambda row, value: value("prompt_tokens_per_s"),
    "one text, tokens/s": lambda row, value: value("text_tokens_per_s", 2),
    "several texts": lambda row, value: str(row["texts"]),
    "all of them, tokens/s": lambda row, value: value("texts_tokens_per_s"),
    "latency, ms": lambda row, value: value("latency"),
    "roofline, tokens/s": lambda row, value: value("roofline_tokens_per_s"),
    "roofline bound by": lambda row, value: row["roofline"]["bound"],
    "energy, uJ/token": lambda row, value: value("energy"),
    "of it compute": lambda row, value: value("energy_compute"),
    "of it off-chip reads": lambda row, value: value("energy_offchip"),
}
