"""Pictures of training and of spikes, by matplotlib: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, GREY, BLUE, ORANGE, GREEN = "#1f2933", "#9aa5b1", "#2f6690", "#d1662d", "#3a7d5c"
CURVES = (BLUE, ORANGE, GREEN, "#6b4e86")
NEURONS = 4  # whose membranes are drawn


def figure(width: float, height: float) -> Figure:
    return Figure((width, height), dpi=120, layout="constrained")


def _bare(axes: Axes, title: str = "") -> Axes:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    return axes


def loss_against_tokens(curves: Mapping[str, tuple[int, Sequence[float]]], unit: str = "nats per token") -> Figure:
    """Training loss of several networks, ``label: (tokens per step, loss of each step)``; a running mean over 2 %."""
    drawing = figure(7, 4)
    axes = _bare(drawing.subplots(), "Training loss against tokens seen")
    for colour, (label, (tokens, losses)) in zip(CURVES * len(curves), curves.items(), strict=False):
        window = max(1, len(losses) // 50)
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(tokens * np.arange(window, len(losses) + 1), mean, label=label, color=colour, linewidth=1.5)
    axes.set(xlabel="tokens", ylabel=unit, xscale="log")
    axes.grid(color="#e4e7eb", linewidth=0.6)
    axes.legend(frameon=False, fontsize=9)
    return drawing


def loss_against_events(runs: Mapping[str, Sequence[tuple[float, float, str]]], unit: str = "bits per token") -> Figure:
    """Held-out loss of several trainings: by kind of network, ``(share of weights that are added, loss, name)``."""
    drawing = figure(7, 4)
    axes = _bare(drawing.subplots(), "Held-out loss against events")
    for colour, (kind, points) in zip(CURVES * len(runs), runs.items(), strict=False):
        shares, losses, names = zip(*points, strict=True)
        axes.scatter(100 * np.array(shares), losses, label=kind, color=colour, s=24)
        for share, loss, name in zip(shares, losses, names, strict=True):
            axes.annotate(name, (100 * share, loss), (4, 3), textcoords="offset points", fontsize=6, color=INK)
    axes.set(xlabel="events, % of the weights in the layers", ylabel=unit, xscale="log")
    axes.grid(color="#e4e7eb", linewidth=0.6)
    axes.legend(frameon=False, fontsize=9)
    return drawing


def spikes_and_membranes(layers: Sequence[tuple[str, NDArray, NDArray]], tokens: Sequence[str]) -> Figure:
    """For each layer, ``(title, spikes (T, C), charge (T, C))``: every neuron's spikes, and some membranes below."""
    drawing = figure(9, 3.6 * len(layers))
    rows = drawing.subplots(2 * len(layers), 1, sharex=True, height_ratios=[2, 1] * len(layers))
    for (title, spikes, charge), raster, traces in zip(layers, rows[::2], rows[1::2], strict=True):
        times, neurons = np.nonzero(spikes)
        _bare(raster, f"{title}: {spikes.mean():.0%} of {spikes.shape[1]} neurons fire per token")
        raster.scatter(times, neurons, s=3, marker="|", color=INK, linewidths=0.7)
        raster.set(ylabel="neuron", xlim=(-0.5, len(spikes) - 0.5), ylim=(-1, spikes.shape[1]))
        liveliest = np.argsort(-np.minimum(spikes.mean(0), 1 - spikes.mean(0)), kind="stable")[:NEURONS]
        for colour, neuron in zip(CURVES, liveliest, strict=False):
            traces.plot(charge[:, neuron], color=colour, linewidth=1, label=f"neuron {neuron}")
        traces.axhline(1, color=GREY, linestyle=":", linewidth=1)
        _bare(traces).set(ylabel="membrane")
        traces.legend(frameon=False, fontsize=7, ncols=NEURONS, loc="lower right")
    rows[-1].set_xticks(range(len(tokens)), tokens, fontsize=6, family="monospace")
    rows[-1].set_xlabel("token; dotted: threshold")
    return drawing


def firing_rates(rates: Mapping[str, NDArray]) -> Figure:
    """Spikes per token, the layer's mean and the spread over its neurons (5th to 95th percentile), ``name: (C,)``."""
    drawing = figure(7, 1 + 0.32 * len(rates))
    axes = _bare(drawing.subplots(), "Firing rate per layer")
    for row, values in enumerate(rates.values()):
        low, high = np.percentile(values, [5, 95])
        axes.barh(row, values.mean(), color=BLUE, height=0.6)
        axes.plot([low, high], [row, row], color=ORANGE, linewidth=1.5)
        dead, full = (values == 0).mean(), (values == 1).mean()
        axes.text(1.02, row, f"{values.mean():.0%}   dead {dead:.0%}   always {full:.0%}", fontsize=8, va="center")
    axes.set_yticks(range(len(rates)), list(rates))
    axes.set(xlabel="spikes per token (orange: 5th to 95th percentile of its neurons)", xlim=(0, 1))
    axes.invert_yaxis()
    return drawing


def histograms(panels: Sequence[tuple[str, NDArray, float, int, int]]) -> Figure:
    """How often each point of a grid is used: ``(title, integers, step, lo, hi)``; the ends of the grid are dotted."""
    columns = 4
    drawing = figure(11, 2.1 * -(-len(panels) // columns))
    grid = drawing.subplots(-(-len(panels) // columns), columns, squeeze=False).flatten()
    for axes, (title, integers, step, lo, hi) in zip(grid, panels, strict=False):
        values, counts = np.unique(integers, return_counts=True)
        _bare(axes).bar(values * step, counts / counts.sum(), width=step, color=BLUE)
        axes.set_title(title, loc="left", fontsize=7)
        for end in (lo, hi):
            axes.axvline(end * step, color=ORANGE, linestyle=":", linewidth=1)
        clipped = np.isin(integers, (lo, hi) if lo < 0 else hi).mean()  # nothing is clipped at 0: zeros are zeros
        axes.text(1, 0.95, f"{clipped:.1%} at the ends", fontsize=6, transform=axes.transAxes, ha="right", va="top")
        axes.set_yscale("log")
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return drawing
