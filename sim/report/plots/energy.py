"""Pictures of energy: by block, and under each accounting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from spikegpt_hls.sim.energy.model import EnergyReport
from spikegpt_hls.sim.report.plots.style import BLUE, ORANGE, html, short


def energy_bars(report: EnergyReport) -> str:
    """Compute and memory energy per token of each block; all forks are one bar."""
    forks = [block for block in report.blocks if block.kind == "Fork"]
    shown = [block for block in report.blocks if block.kind != "Fork"]
    names = [short(block.name) for block in shown] + ["forks"] * bool(forks)
    figure = go.Figure()
    for part, colour in (("compute", BLUE), ("memory", ORANGE)):
        values = [getattr(block, f"{part}_pj") / 1e3 for block in shown]
        values += [sum(getattr(block, f"{part}_pj") for block in forks) / 1e3] * bool(forks)
        figure.add_bar(y=names, x=values, orientation="h", name=part, marker_color=colour)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="nJ per token")
    figure.update_yaxes(autorange="reversed", dtick=1)
    return html(figure, 90 + 17 * len(names))


def accountings(rows: Sequence[Mapping[str, Any]]) -> str:
    """nJ per character under each accounting, compute and data movement."""
    names = [f"{row['accounting']}: {row['label']}".replace(", ", ",<br>", 1) for row in rows]  # a phone is narrow
    figure = go.Figure()
    for part, label, colour in (("compute_pj", "compute", BLUE), ("movement_pj", "data movement", ORANGE)):
        values = [row[part] / 1e3 for row in rows]
        figure.add_bar(y=names, x=values, orientation="h", name=label, marker_color=colour)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="nJ per character")
    figure.update_yaxes(autorange="reversed", dtick=1)
    return html(figure, 110 + 32 * len(names))
