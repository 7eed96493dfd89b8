"""Quiet networks: events are counted as matrices read them, trained to be few, and learned from a teacher."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from spikegpt_hls.cli.main import run
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training.events import Events, Pressure
from spikegpt_hls.model.training.quiet import Quiet
from spikegpt_hls.model.training.teacher import begin
from spikegpt_hls.model.training.train import Plan, train
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.storage import load_network, save_network
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.quant.training.train_qat import train_qat

KINDS = ({}, {"placement": "spike-driven"}, {"placement": "spike-driven", "hidden": "bits"})
IDS = np.random.default_rng(0).integers(0, 16, 40)


def kinds_of(kind: dict[str, str]) -> str:
    return kind.get("hidden", kind.get("placement", "canonical"))


@pytest.mark.parametrize("kind", KINDS, ids=kinds_of)
def test_events_are_the_inputs_of_matrices_that_are_not_0(kind: dict[str, str]) -> None:
    network = random_network(2, 16, seed=3, vocabulary=16, **kind)
    traces, inside, whole, added = trace(network, [IDS]), [0, 0], [0, 0], 0
    for node in blocks(network):
        if isinstance(node.operation, Linear):
            added = int(np.count_nonzero(traces[node.inputs[0]])) * node.operation.outputs
            dense = len(IDS) * node.operation.inputs * node.operation.outputs
            whole = [whole[0] + added, whole[1] + dense]
            inside = [inside[0] + added, inside[1] + dense] if node.name != "head" else inside
    events = Events(network)
    with events.watching(), torch.no_grad():
        network(torch.from_numpy(IDS)[None])
    assert events.share() == pytest.approx(inside[0] / inside[1], rel=1e-12)
    assert events.share(head=True) == pytest.approx(whole[0] / whole[1], rel=1e-12)
    assert events.share() == 1 if kind == {} and inside[0] == inside[1] else 0 < events.share() < 1


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=kinds_of)
def test_what_training_presses_on_is_what_is_counted(kind: dict[str, str], quantized: bool) -> None:
    network: SpikeGPT | QuantSpikeGPT = random_network(2, 16, seed=3, vocabulary=16, **kind)
    network = network if quantized else network.float_twin()
    events, ids = Events(network), torch.from_numpy(IDS)[None]
    with events.watching(), Pressure(network.train()).watching() as parts:
        network(ids)
    pressed = float(torch.stack(parts).detach().sum())
    if kind:
        assert pressed == pytest.approx(events.share(), rel=1e-5)
    else:  # no neuron stands in front of a matrix but that of the ReLU: all others count whole
        assert pressed >= events.share() - 1e-6
    assert all(part.requires_grad for part in parts[1:])


def test_a_student_begins_as_its_teacher_where_both_have_the_same_weights() -> None:
    teacher = SpikeGPT(Config(1, 16, 16, neurons="none"))
    student, wider = (SpikeGPT(Config(1, width, 16, placement="spike-driven")) for width in (16, 24))
    theta = student.blocks[0].ffn.theta.clone()
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    begin(student, teacher)
    begin(wider, teacher)
    for name, value in teacher.state_dict().items():
        assert torch.equal(student.state_dict()[name], value), name
    assert torch.equal(student.blocks[0].ffn.theta, theta)  # a teacher has none
    assert all(torch.equal(value, before[name]) for name, value in wider.state_dict().items())


def test_events_above_the_target_are_trained_away() -> None:
    def trained(target: float | None) -> float:
        torch.manual_seed(0)
        model = SpikeGPT(Config(1, 16, 16, placement="spike-driven"))
        plan = Plan(steps=60, lr=8e-3, context=16, batch=4)
        train(model, Quiet(np.resize(IDS, 400).astype(np.uint16), plan, target=target, ramp=10, pressure=60), plan)
        events = Events(model.eval())
        with events.watching(), torch.no_grad():
            model(torch.from_numpy(IDS)[None])
        return events.share()

    assert trained(0.02) < 0.6 * trained(None)


def test_a_twin_teaches_and_is_kept(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be, or not to be: that is the question. " * 60)

    def run() -> tuple[str, dict[str, object]]:
        console = Console(file=io.StringIO(), width=200)
        settings = {"placement": "spike-driven", "events": 0.5, "teacher": "twin", "layers": 1, "channels": 8}
        metrics = train_qat(tmp_path / "out", data=str(text), steps=4, qat_steps=2, console=console, **settings)  # type: ignore[arg-type]
        return console.file.getvalue(), metrics  # type: ignore[attr-defined]

    first, metrics = run()
    assert "teacher: 4 steps" in first
    again, same = run()
    assert "teacher" not in again
    assert same["val_nats_integer"] == metrics["val_nats_integer"]
    assert 0 < metrics["events_share"] < 1  # type: ignore[operator]
    assert (metrics["placement"], metrics["hidden"]) == ("spike-driven", "squared-relu")
    network, _ = load_network(tmp_path / "out" / "checkpoint.safetensors")
    assert network.config.spike_driven
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["events"]["integer"]["head"] == 1


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ({"placement": "sideways"}, "unknown placement 'sideways': choose one of canonical, spike-driven"),
        ({"placement": "spike-driven", "hidden": "trits"}, "unknown hidden 'trits': choose one of squared-relu, bits"),
        ({"hidden": "bits"}, "hidden=bits are the spikes of a spike-driven network"),
        ({"placement": "spike-driven", "hidden": "bits", "neurons": "none"}, "hidden=bits are the spikes"),
    ],
)
def test_what_there_is_not_is_refused(kind: dict[str, str], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Config(1, 8, **kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (["--events", "0"], "0.0 is not in the range 0<x<=1"),
        (["--events", "1.5"], "1.5 is not in the range 0<x<=1"),
        (["--placement", "sideways"], "unknown placement 'sideways': choose one of canonical, spike-driven"),
        (["--teacher", "nowhere"], "there is no teacher at nowhere"),
    ],
)
def test_a_command_that_asks_for_them_ends_in_a_sentence(
    named: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train-qat", "--build", str(tmp_path), *named]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_checkpoint_of_the_other_placement_is_kept_and_not_taken_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program's: no record says how it was made."""
    place = tmp_path / "tiny"
    place.mkdir()
    save_network(random_network(2, 64, vocabulary=256), place / "checkpoint.safetensors", {})
    before = (place / "checkpoint.safetensors").read_bytes()
    assert run(["export", "--build", str(tmp_path), "--placement", "spike-driven"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "was not made by train-qat here, so placement= means nothing for it" in said
    assert (place / "checkpoint.safetensors").read_bytes() == before
