"""Pictures of events: inputs of matrices that are not 0, token by token, and what a network's loss makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.report.plots.style import BLUE, GREY, ORANGE, across, html, short


def heat(counts: Mapping[str, Ints], inputs: Mapping[str, int], starts: Sequence[int]) -> str:
    """Matrices down, tokens across: the share of a matrix's inputs that were not 0; dotted at a sequence's start."""
    shares = np.array([100 * np.asarray(counts[name]) / inputs[name] for name in counts])
    figure = go.Figure()
    figure.add_heatmap(
        z=shares, y=[short(name) for name in counts], colorscale=[[0, "#f3f5f7"], [1, BLUE]], zmin=0,
        colorbar={"title": "%", "thickness": 10}, hovertemplate="token %{x}, %{y}: %{z:.1f} %<extra></extra>",
    )  # fmt: skip
    for start in starts:
        figure.add_vline(x=start - 0.5, line={"color": ORANGE, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="token")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return html(figure, 80 + 16 * len(counts), across(shares.shape[1]))


def reads(rows: Iterable[Mapping[str, Any]]) -> str:
    """Weights that a token reads, beside those that there are."""
    shown = list(rows)
    figure = go.Figure()
    names = [short(row["name"]) for row in shown]
    for title, key, colour in (("all weights", "weights", GREY), ("read per token", "reads", BLUE)):
        figure.add_bar(y=names, x=[row[key] for row in shown], name=title, orientation="h", marker_color=colour)
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title="weights")
    figure.update_yaxes(autorange="reversed")
    return html(figure, 80 + 18 * len(shown))


def curve(runs: Iterable[Mapping[str, Any]], chosen: str) -> str:
    """Loss against events, a point for each training; ``chosen`` is this one."""
    figure = go.Figure()
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        kinds.setdefault(run["kind"], []).append(run)
    for kind, points in kinds.items():
        figure.add_scatter(
            x=[100 * run["events_share"] for run in points], y=[run["val_bits_integer"] for run in points], name=kind,
            mode="markers", text=[run["name"] for run in points],
            marker={"size": [13 if run["name"] == chosen else 8 for run in points]},
            hovertemplate="%{text}: %{x:.2f} %, %{y:.4f} bits<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="events, % of the weights in the layers", type="log")
    figure.update_yaxes(title="bits per token, held out")
    return html(figure, 340)
