"""``figures``: pictures of training and of what the integer network does: ``build/<preset>/figures/*.png``."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.path import TRAIN
from spikegpt_hls.cli.steps import export, train
from spikegpt_hls.cli.steps.runs import runs
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spikegpt_hls.quant.training.observe import Neurons, Observation, Values

OBSERVED = 2048  # held-out tokens behind rates and histograms
SHOWN = 96  # tokens of the raster
BLOCK = 0  # whose two LIFs the raster shows
MATRICES = 8  # whose weights and inputs the histograms show


@dataclass(frozen=True)
class Sizes(Settings):
    """Which networks are drawn beside each other."""

    remembered: ClassVar[bool] = False

    sizes: str = setting("tiny,small", "Presets whose training curves are compared.", example="tiny")


def figures(runner: Runner) -> None:
    """The pictures, of spikes where there are any; networks that are missing are trained."""
    from spikegpt_hls.model.training import plots

    place = runner.place
    names = dict.fromkeys([place.preset, *runner.told(Sizes).sizes.split(",")])
    curves = {name: _curve(_trained(runner, name)) for name in names}
    observation, labels = _observed(runner)
    neurons = observation.neurons
    shown = [_raster(layer) for layer in neurons if layer.name.startswith(f"blocks_{BLOCK}_")]
    pictures = {
        "loss": plots.loss_against_tokens(curves, f"nats per {train.metrics(place)['unit']}"),
        "weights": plots.histograms([_panel(values) for values in observation.weights[:MATRICES]]),
        "activations": plots.histograms([_panel(values) for values in observation.activations[:MATRICES]]),
    }
    if found := _by_kind(runs(place)):
        pictures["events"] = plots.loss_against_events(found, f"bits per {train.metrics(place)['unit']}")
    if neurons:
        pictures["spikes"] = plots.spikes_and_membranes(shown, labels[:SHOWN])
        pictures["firing"] = plots.firing_rates({layer.name: layer.rates for layer in neurons})
    for name, picture in pictures.items():
        runner.say(f"{name}: {_save(picture, place.folder / 'figures' / f'{name}.png')}")


def _by_kind(found: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[float, float, str]]]:
    kinds: dict[str, list[tuple[float, float, str]]] = {}
    for run in found:
        kinds.setdefault(run["kind"], []).append((run["events_share"], run["val_bits_integer"], run["name"]))
    return kinds


def places(place: Workspace, named: Mapping[str, Any]) -> list[Workspace]:
    """All that the command works in."""
    return [_sized(place, name) for name in Sizes.of(named).sizes.split(",")]


def _sized(place: Workspace, preset: str) -> Workspace:
    from spikegpt_hls.model import config

    config.preset(preset)
    return Workspace(place.folder.parent / preset, preset, place.target)


def _trained(runner: Runner, preset: str) -> dict[str, Any]:
    """The metrics of ``preset``, trained on the same text as the command's own."""
    other = runner.elsewhere(_sized(runner.place, preset))
    other.make(TRAIN)
    return train.metrics(other.place)


def _curve(metrics: dict[str, Any]) -> tuple[int, list[float]]:
    return metrics["tokens_per_step"], metrics["loss_curve"]


def _observed(runner: Runner) -> tuple[Observation, list[str]]:
    """The network at work on held-out text, and each token as text."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.quant.storage import load_network
    from spikegpt_hls.quant.training.observe import observe

    network, header = load_network(runner.place.checkpoint)
    ids = export.held_out(runner.place, runner.console)[:OBSERVED]
    used = tokenizer.beside(runner.place.checkpoint, header)
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
