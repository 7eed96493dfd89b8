"""Pictures of neurons over tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.report.plots.style import BLUE, GREY, ORANGE, TOKEN_COLOURS, across, html, short

LONGEST_DRAWN = 32  # tokens between two spikes


def spike_raster(spikes: Mapping[str, Ints], starts: Sequence[int]) -> str:
    """One panel per LIF layer: tokens across, neurons down, dark where it fired; dotted at a sequence's start."""
    titles = [f"{short(name)}: {100 * layer.mean():.1f} % firing" for name, layer in spikes.items()]
    panels, tokens = len(titles), max((len(layer) for layer in spikes.values()), default=0)
    figure = make_subplots(
        panels, 1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=min(0.06, 0.5 / max(panels, 1))
    )
    for row, layer in enumerate(spikes.values(), 1):
        figure.add_heatmap(
            z=layer.T.astype(np.int8), row=row, col=1, showscale=False, zmin=0, zmax=1,
            colorscale=[[0, "#f3f5f7"], [1, BLUE]], hovertemplate="token %{x}, neuron %{y}: %{z}<extra></extra>",
        )  # fmt: skip
        for start in starts:
            figure.add_vline(x=start - 0.5, line={"color": ORANGE, "width": 1, "dash": "dot"}, row=row, col=1)
    figure.update_xaxes(title="token", row=panels, col=1)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_annotations(font_size=11, x=0, xanchor="left")
    figure.update_layout(xaxis_range=[-0.5, tokens - 0.5])
    return html(figure, 60 + 150 * panels, across(tokens))


def membrane(potential: Ints, spikes: Ints, starts: Sequence[int], title: str) -> str:
    """One neuron: the potential ``h`` before its reset, in thresholds, and where it fired."""
    tokens = np.arange(len(potential))
    fired = np.asarray(spikes, bool)
    figure = go.Figure()
    ends = [0, len(potential) - 1]
    figure.add_scatter(x=ends, y=[1, 1], name="threshold", mode="lines", line={"color": GREY, "dash": "dash"})
    figure.add_scatter(x=tokens, y=potential, name="h", line={"color": BLUE, "width": 1.5})
    figure.add_scatter(
        x=tokens[fired],
        y=np.asarray(potential)[fired],
        name="spike",
        mode="markers",
        marker={"color": ORANGE, "size": 7},
    )
    for start in starts:
        figure.add_vline(x=start - 0.5, line={"color": ORANGE, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="token")
    figure.update_yaxes(title=f"membrane of {title}")
    figure.update_layout(xaxis_range=[-0.5, len(potential) - 0.5])
    return html(figure, 280, across(len(potential)))


def intervals(layers: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of the intervals between two spikes of a neuron that are 1, 2, ... tokens long, layer by layer."""
    figure = go.Figure()
    for (name, layer), colour in zip(layers.items(), cycle(TOKEN_COLOURS), strict=False):
        histogram = np.array(layer["histogram"][:LONGEST_DRAWN], np.float64)
        if histogram.any():
            tokens = np.arange(1, len(histogram) + 1)
            shares = 100 * histogram / sum(layer["histogram"])
            figure.add_scatter(x=tokens, y=shares, name=short(name), line={"color": colour, "width": 1.5})
    figure.update_xaxes(title="tokens from a spike to the next")
    figure.update_yaxes(title="% of intervals", type="log")
    return html(figure, 340)
