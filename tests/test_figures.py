"""Pictures of what the integer network does: their data, and the files."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from spikegpt_hls.cli.main import run
from spikegpt_hls.model.training import plots
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.quant.training.observe import observe

IDS = np.random.default_rng(3).integers(0, 64, 40)


def test_observed_spikes_and_membranes_are_those_of_the_network() -> None:
    network = random_network(2, 16, vocabulary=64)
    seen = observe(network, IDS)
    assert [layer.name for layer in seen.neurons] == [f"blocks_{b}_{m}_lif" for b in (0, 1) for m in ("att", "ffn")]
    _, state = network.run(torch.from_numpy(IDS)[None])
    for layer in seen.neurons:
        assert np.array_equal(layer.spikes, layer.charge >= 1)
        assert 0 < layer.rates.mean() < 1
        last = np.where(layer.spikes[-1], 0, layer.charge[-1])  # reset where it fired
        membrane = state[f"{layer.name}.membrane"][0].numpy()
        assert np.array_equal(np.sign(last), np.sign(membrane))
        assert len(np.unique(membrane[last != 0] / last[last != 0])) == 1  # one grid


def test_every_spike_is_a_mark_of_the_raster() -> None:
    layers = observe(random_network(1, 16, vocabulary=64), IDS).neurons
    drawing = plots.spikes_and_membranes([(layer.name, layer.spikes, layer.charge) for layer in layers], ["x"] * 40)
    for layer, axes in zip(layers, drawing.axes[::2], strict=True):
        marks = {tuple(mark) for mark in axes.collections[0].get_offsets().astype(int).tolist()}
        assert marks == set(zip(*(places.tolist() for places in np.nonzero(layer.spikes)), strict=True))


def test_histograms_count_every_value_once() -> None:
    integers = np.array([-2, -1, -1, 1, 1, 1, 0, 1])
    (axes,) = plots.histograms([("ternary", integers, 0.5, -2, 1)]).axes[:1]
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches}
    assert bars == {-1.0: 1 / 8, -0.5: 2 / 8, 0.0: 1 / 8, 0.5: 4 / 8}


def test_every_training_is_a_point_between_events_and_loss() -> None:
    runs = {"canonical": [(0.6, 2.4, "a")], "spike-driven": [(0.08, 2.5, "b"), (0.05, 2.6, "c")]}
    (axes,) = plots.loss_against_events(runs).axes
    found = {dots.get_label(): np.round(dots.get_offsets().data, 9).tolist() for dots in axes.collections}
    assert found == {"canonical": [[60, 2.4]], "spike-driven": [[8, 2.5], [5, 2.6]]}
    assert sorted(text.get_text() for text in axes.texts) == ["a", "b", "c"]


def test_figures_of_a_trained_network(trained: Path) -> None:
    assert run(["figures", "--build", str(trained.parent), "--sizes", "tiny"]) == 0
    for name in ("loss", "events", "spikes", "firing", "weights", "activations"):
        picture = np.asarray(Image.open(trained / "figures" / f"{name}.png").convert("L"))
        assert picture.std() > 10, name  # not blank


def test_an_unknown_size_is_refused(trained: Path) -> None:
    assert run(["figures", "--build", str(trained.parent), "--sizes", "huge"]) == 2
