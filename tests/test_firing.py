"""What training shows: neurons that never or always fire, its curves, and a loss over every held-out token."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.lif import LIF
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training.evaluate import nats_per_token, windows
from spikegpt_hls.model.training.firing import Firing, Layer, overall, warning
from spikegpt_hls.model.training.train import LanguageModelling, Plan, train
from spikegpt_hls.quant.training.calibrate import random_network

IDS = np.random.default_rng(0).integers(0, 16, 500).astype(np.uint8)


def test_neurons_that_never_and_always_fire_are_counted() -> None:
    lif = torch.nn.Sequential(LIF())
    firing = Firing(lif)
    drive = torch.tensor([0.0, 5.0, 1.2, 0.5]).expand(2, 10, 4)  # never, always, now and then, never
    with firing.watching():
        spikes = lif[0](drive)[0]
    lif[0](drive * 9)  # not watched
    assert firing.layers() == {"0": Layer(rate=float(spikes.double().mean()), dead=0.5, saturated=0.25)}
    with firing.watching():
        lif[0](torch.full((1, 1, 4), 9.0))
    assert firing.layers()["0"].dead == 0
    firing.reset()
    assert firing.layers() == {}
    once_silent = torch.full((1, 10, 1), 9.0)
    once_silent[0, 4] = 0
    with firing.watching():
        lif[0](once_silent)
    assert firing.layers() == {"0": Layer(rate=0.9, dead=0, saturated=0)}


def test_float_and_integer_networks_are_watched_alike() -> None:
    network = random_network(2, 12, vocabulary=16)
    ids = torch.from_numpy(IDS[:60].astype(np.int64)).view(2, 30)
    for model in (network.float_twin(), network.train(), network.eval()):
        firing = Firing(model)
        with firing.watching(), torch.no_grad():
            model(ids)
        assert len(firing.layers()) == 4
        assert 0.02 < overall(firing.layers()).rate < 0.9


def test_a_layer_with_many_dead_neurons_is_a_warning() -> None:
    alive, dead = Layer(0.2, 0.2, 0.0), Layer(0.1, 0.5, 0.0)
    assert warning({"a": alive}) is None
    message = warning({"a": alive, "blocks.1.lif2": dead})
    assert message
    assert "1 of 2 LIF layers" in message
    assert "blocks.1.lif2 is the worst with 50%" in message


def test_progress_and_tensorboard_show_loss_rate_speed_gradient_and_neurons(tmp_path: Path) -> None:
    plan = Plan(steps=15, lr=1e-3, context=8, batch=2)
    console = Console(record=True, width=120, force_terminal=True, file=io.StringIO())
    losses = train(
        SpikeGPT(Config(1, 8, 16)), LanguageModelling(IDS, plan), plan, console=console, tensorboard=tmp_path
    )
    shown = console.export_text()
    assert f"loss {losses[-1]:.3f}" in shown
    for word in ("15/15", "tokens/s", "dead", "saturated", "0:00"):
        assert word in shown
    events = EventAccumulator(str(tmp_path)).Reload()
    for name in ("loss", "learning rate", "tokens per second", "gradient norm"):
        assert [point.step for point in events.Scalars(name)] == [0, 10, 14]
    assert events.Scalars("loss")[-1].value == pytest.approx(losses[-1])
    for name in ("firing rate", "dead", "saturated", "dead/blocks.0.lif1", "rate/blocks.0.lif2"):
        assert [point.step for point in events.Scalars(name)] == [14]


def test_every_held_out_token_but_the_first_is_predicted_once() -> None:
    model = SpikeGPT(Config(1, 8, 16)).eval()
    for size in (41, 45, 9, 5):
        ids = IDS[:size]
        starts = windows(ids, 8)
        assert [t for start in starts for t in range(start, min(start + 8, size - 1))] == list(range(size - 1))
        total = 0.0
        with torch.no_grad():
            for start in starts:
                part = torch.from_numpy(ids[start : start + 9].astype(np.int64))[None]
                total += float(F.cross_entropy(model(part[:, :-1])[0], part[0, 1:], reduction="sum"))
        assert nats_per_token(model, ids, 8) == pytest.approx(total / (size - 1), rel=1e-5)


def test_a_capped_evaluation_takes_whole_windows_evenly() -> None:
    assert windows(IDS[:45], 8, 3) == [0, 16, 32]
    assert windows(IDS[:45], 8, 99) == [0, 8, 16, 24, 32, 40]
