"""How every picture of the page looks, by plotly."""

from __future__ import annotations

import hashlib

import plotly.graph_objects as go

INK, GRID = "#1f2933", "#e4e7eb"
BLUE, ORANGE, GREY = "#2f6690", "#d1662d", "#9aa5b1"
TOKEN_COLOURS = ("#2f6690", "#81a4cd", "#3a7d5c", "#8fbf9f", "#d1662d", "#eeb17c", "#6b4e86", "#b59cc9")


def html(figure: go.Figure, height: int, width: int | None = None) -> str:
    """A ``div`` without plotly itself, which the page carries once; as wide as its place, or ``width`` pixels."""
    figure.update_layout(
        height=height,
        width=width,
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
    config = {"responsive": width is None, "displaylogo": False, "displayModeBar": False}
    name = f"plot-{hashlib.sha256(figure.to_json().encode()).hexdigest()[:12]}"  # equal pictures make equal pages
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=config, div_id=name))


def short(name: str) -> str:
    """``blocks_0_att_key`` as ``0 att key``, so that it fits beside a bar on a phone."""
    return name.removeprefix("blocks_").replace("_", " ")


def across(tokens: int) -> int:
    """Pixels of a picture with tokens across, wider than a screen where they are many: its place scrolls."""
    return 80 + 4 * tokens
