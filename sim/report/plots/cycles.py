"""Pictures of cycles: by block, by token, and against what a part allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from spikegpt_hls.sim.cycles.schedule import Schedule
from spikegpt_hls.sim.report.plots.style import BLUE, ORANGE, TOKEN_COLOURS, html, short


def block_cycles(cycles: Mapping[str, int], pace: float) -> str:
    """Cycles that one token takes in each block, and the pace of the whole."""
    figure = go.Figure()
    figure.add_bar(y=[short(name) for name in cycles], x=list(cycles.values()), orientation="h", marker_color=BLUE)
    figure.add_vline(x=pace, line={"color": ORANGE, "dash": "dot"})
    figure.update_xaxes(title="cycles")
    figure.update_yaxes(autorange="reversed", dtick=1)
    return html(figure, 90 + 17 * len(cycles))


def timeline(schedule: Schedule, names: Sequence[str], tokens: int) -> str:
    """When each block held each of the first tokens: from its first beat in to its last beat out."""
    figure = go.Figure()
    spans = {name: schedule.block(name) for name in names}
    for token in range(min(tokens, schedule.tokens)):
        start = [int(spans[name].start[token]) - schedule.first for name in names]
        end = [int(spans[name].end[token]) - schedule.first for name in names]
        figure.add_bar(
            y=[short(name) for name in names], base=start, x=[b - a + 1 for a, b in zip(start, end, strict=True)],
            orientation="h", name=f"token {token}", opacity=0.85,
            marker_color=TOKEN_COLOURS[token % len(TOKEN_COLOURS)],
            customdata=list(zip(start, end, strict=True)),
            hovertemplate="%{y}, cycles %{customdata[0]} to %{customdata[1]}",
        )  # fmt: skip
    figure.update_layout(barmode="overlay", bargap=0.15)
    figure.update_xaxes(title="cycle")
    figure.update_yaxes(autorange="reversed", dtick=1)
    return html(figure, 130 + 17 * len(names))


def roofline(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """What each part's multipliers and memory allow, and where the model stands on it: a cross where weights come from
    outside, at the rate of a streamed prompt."""
    figure = go.Figure()
    for (name, part), colour in zip(parts.items(), cycle(TOKEN_COLOURS), strict=False):
        roof = part["roofline"]
        reach = [0.1, roof["ridge"], max(1000.0, 10 * roof["ridge"])]
        attained = [min(roof["peak_macs"], intensity * roof["bandwidth"]) for intensity in reach]
        figure.add_scatter(x=reach, y=attained, name=name, mode="lines", line={"color": colour, "width": 1.5})
        rate = part["figures"]["prompt_tokens_per_s"]["value"] * roof["macs_per_token"]
        where = roof["intensity"] or reach[-1]  # nothing comes from outside: at the far end
        figure.add_scatter(
            x=[where], y=[rate], mode="markers", showlegend=False, name=f"{name}, projected",
            marker={"color": colour, "size": 9, "symbol": "x" if roof["intensity"] else "circle"},
        )  # fmt: skip
    figure.update_xaxes(title="MACs per byte from off the chip", type="log")
    figure.update_yaxes(title="MACs per second", type="log")
    return html(figure, 380)
