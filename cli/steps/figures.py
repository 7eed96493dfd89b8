"""Pictures of training and of what the integer network does: ``build/<preset>/figures/*.png``."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import export, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spikegpt_hls.quant.training.observe import Neurons, Observation, Values

SIZES = "tiny,small"
OBSERVED = 2048  # held-out tokens behind rates and histograms
SHOWN = 96  # tokens of the raster
BLOCK = 0  # whose two LIFs the raster shows
MATRICES = 8  # whose weights and inputs the histograms show


def make(request: Request) -> None:
    """The pictures, of spikes where there are any; networks that are missing are trained."""
    sizes = (request.options.get("sizes") or SIZES).split(",")
    curves = {name: _curve(_sized(request, name)) for name in dict.fromkeys([request.workspace.preset, *sizes])}
    from spikegpt_hls.model.training import plots

    observation, labels = _observed(request)
    neurons = observation.neurons
    shown = [_raster(layer) for layer in neurons if layer.name.startswith(f"blocks_{BLOCK}_")]
    unit = train.make(request)["unit"]
    pictures = {
        "loss": plots.loss_against_tokens(curves, f"nats per {unit}"),
        "weights": plots.histograms([_panel(values) for values in observation.weights[:MATRICES]]),
        "activations": plots.histograms([_panel(values) for values in observation.activations[:MATRICES]]),
    }
    if neurons:
        pictures["spikes"] = plots.spikes_and_membranes(shown, labels[:SHOWN])
        pictures["firing"] = plots.firing_rates({layer.name: layer.rates for layer in neurons})
    for name, picture in pictures.items():
        request.say(f"{name}: {_save(picture, request.workspace.folder / 'figures' / f'{name}.png')}")


def _sized(request: Request, preset: str) -> dict[str, Any]:
    """The metrics of ``preset``, trained on the same text as the request's own."""
    from spikegpt_hls.model import config

    config.preset(preset)
    own = request.workspace
    return train.make(replace(request, workspace=replace(own, folder=own.folder.parent / preset, preset=preset)))


def _curve(metrics: dict[str, Any]) -> tuple[int, list[float]]:
    return metrics["tokens_per_step"], metrics["loss_curve"]


def _observed(request: Request) -> tuple[Observation, list[str]]:
    """The network at work on held-out text, and each token as text."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.quant.storage import load_network
    from spikegpt_hls.quant.training.observe import observe

    network, header = load_network(request.workspace.checkpoint)
    ids = export.held_out(request, header)[:OBSERVED]
    used = tokenizer.beside(request.workspace.checkpoint, header)
    return observe(network, ids), [used.decode([token]).replace("\n", "\u21b5") for token in ids[:SHOWN].tolist()]


def _raster(layer: Neurons) -> tuple[str, Any, Any]:
    return layer.name, layer.spikes[:SHOWN], layer.charge[:SHOWN]


def _panel(values: Values) -> tuple[str, Any, float, int, int]:
    fmt = values.format
    return f"{values.name} {fmt}", values.integers, fmt.scale, fmt.lo, fmt.hi


def _save(picture: Figure, path: Path) -> Path:
    from spikegpt_hls.model.files import write_atomically

    content = io.BytesIO()
    picture.savefig(content, format="png", metadata={"Software": None})
    write_atomically(path, content.getvalue())
    return path
