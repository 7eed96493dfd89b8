"""Pictures of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from spikegpt_hls.sim.report.plots.style import BLUE, GREY, ORANGE, html


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
