"""The report's pictures, by plotly. Each function takes figures that were made elsewhere and draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles import Schedule
from spikegpt_hls.sim.energy import EnergyReport

INK, GRID = "#1f2933", "#e4e7eb"
BLUE, ORANGE, GREY = "#2f6690", "#d1662d", "#9aa5b1"
TOKEN_COLOURS = ("#2f6690", "#81a4cd", "#3a7d5c", "#8fbf9f", "#d1662d", "#eeb17c", "#6b4e86", "#b59cc9")


def html(figure: go.Figure, height: int) -> str:
    """A ``div`` without plotly itself, which the page carries once."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 11, "color": INK},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        dragmode=False,  # a finger on a picture scrolls the page
        hoverlabel={"font": {"family": "ui-monospace, monospace"}},
    )
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=config))


def short(name: str) -> str:
    """``blocks_0_att_key`` as ``0 att key``, so that it fits beside a bar on a phone."""
    return name.removeprefix("blocks_").replace("_", " ")


def loss_curve(losses: Sequence[float], float_steps: int | None) -> str:
    """Training loss per step, faint, and its running mean over 2 % of the steps."""
    window = max(1, len(losses) // 50)
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    steps = np.arange(1, len(losses) + 1)
    figure = go.Figure()
    figure.add_scatter(x=steps, y=losses, name="each step", line={"color": GREY, "width": 1}, opacity=0.5)
    figure.add_scatter(x=steps[window - 1 :], y=mean, name=f"mean of {window}", line={"color": BLUE, "width": 2})
    if float_steps and float_steps < len(losses):
        figure.add_vline(x=float_steps, line={"color": ORANGE, "dash": "dot"})
        figure.add_annotation(
            x=float_steps, y=1, yref="paper", text="quantized from here", showarrow=False, xanchor="right", xshift=-4
        )
    figure.update_xaxes(title="step")
    figure.update_yaxes(title="nats per byte")
    return html(figure, 320)


def spike_raster(spikes: Mapping[str, Ints], starts: Sequence[int]) -> str:
    """One panel per LIF layer: tokens across, neurons down, dark where it fired; dotted at a sequence's start."""
    titles = [f"{short(name)}: {100 * layer.mean():.1f} % firing" for name, layer in spikes.items()]
    panels = len(titles)
    figure = make_subplots(
        panels, 1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=min(0.06, 0.5 / max(panels, 1))
    )
    for row, layer in enumerate(spikes.values(), 1):
        figure.add_heatmap(
            z=layer.T.astype(np.int8).tolist(), row=row, col=1, showscale=False, zmin=0, zmax=1,
            colorscale=[[0, "#f3f5f7"], [1, BLUE]], hovertemplate="token %{x}, neuron %{y}: %{z}<extra></extra>",
        )  # fmt: skip
        for start in starts:
            figure.add_vline(x=start - 0.5, line={"color": ORANGE, "width": 1, "dash": "dot"}, row=row, col=1)
    figure.update_xaxes(title="token", row=panels, col=1)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_annotations(font_size=11, x=0, xanchor="left")
    return html(figure, 60 + 150 * panels)


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
    return html(figure, 280)


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
