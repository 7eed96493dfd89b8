"""From a checkpoint of others to hardware: what ``init=`` takes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps import train
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.storage import load_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, and a random network of bytes as another program keeps it."""
    place = tmp_path_factory.mktemp("init")
    (place / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 200)
    torch.manual_seed(1)
    with torch.no_grad():
        model = SpikeGPT(Config(2, 16))
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tensors = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": tensors}, place / "theirs.bin")
    return place


def start(folder: Path, command: str, build: str, *options: str) -> int:
    given = ["--init", str(folder / "theirs.bin"), "--data", str(folder / "text.txt"), "--build", str(folder / build)]
    return run([command, *given, *options])


def test_a_checkpoint_of_others_reaches_rtl_without_a_step_of_training(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(folder, "cosim", "calibrated", "--steps", "0", "--tokens", "24") == 0
    said = capsys.readouterr()
    assert "mismatches: flowing 0 of" in said.out
    place = folder / "calibrated" / "tiny"
    metrics = json.loads((place / "metrics.json").read_text())
    assert (metrics["layers"], metrics["channels"], metrics["steps"]) == (2, 16, 0)
    assert metrics["init"] == str(folder / "theirs.bin")
    written = (place / "checkpoint.safetensors").stat().st_mtime_ns
    assert start(folder, "export", "calibrated", "--steps", "0", "--tokens", "24") == 0
    assert (place / "checkpoint.safetensors").stat().st_mtime_ns == written


def test_a_checkpoint_of_others_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``generate`` calibrates it first; one seed, one text."""
    texts = []
    for _ in range(2):
        assert start(folder, "generate", "written", "--steps", "0", "--prompt", "the ", "--tokens", "12") == 0
        texts.append(capsys.readouterr().out.rsplit("the ", 1)[1])
    assert texts[0] == texts[1] != ""


def test_weights_without_neurons_are_not_read_as_a_spiking_network(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """RWKV-4's have the same names and shapes: a twin, trained on the text, stands for them."""
    text = ["--data", str(folder / "text.txt")]
    asked = [*text, "--steps", "150", "--qat-steps", "1", "--layers", "1", "--channels", "32", "--neurons", "none"]
    assert run(["train-qat", *asked, "--build", str(tmp_path / "twin")]) == 0
    network, _ = load_network(tmp_path / "twin" / "tiny" / "checkpoint.safetensors")
    torch.save(network.float_twin().state_dict(), tmp_path / "rwkv.pth")
    start = ["train-qat", *text, "--init", str(tmp_path / "rwkv.pth"), "--steps", "0", "--build"]
    capsys.readouterr()
    assert run([*start, str(tmp_path / "unnamed")]) == 2
    said = capsys.readouterr().err
    assert "without neurons, as RWKV-4: name neurons=none, or neurons=lif" in said.replace("\n", " ")
    for neurons in ("none", "lif"):
        assert run([*start, str(tmp_path / neurons), "--neurons", neurons]) == 0
        metrics = json.loads((tmp_path / neurons / "tiny" / "metrics.json").read_text())
        assert metrics["neurons"] == neurons


def test_fine_tuning_lowers_the_loss(folder: Path) -> None:
    assert start(folder, "train-qat", "kept", "--steps", "0") == 0
    assert start(folder, "train-qat", "tuned", "--steps", "40") == 0
    before, after = (
        json.loads((folder / name / "tiny" / "metrics.json").read_text())["val_nats_integer"]
        for name in ("kept", "tuned")
    )
    assert after < before - 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--init", "gone.pth"], "no checkpoint at gone.pth"),
        (
            ["--tokenizer", "characters"],
            "theirs.bin has a vocabulary of 256, its tokenizer one of 28: name the right one",
        ),
        (["--channels", "32"], "theirs.bin has 2 layers and 16 channels: name no others"),
        (["--placement", "spike-driven"], "theirs.bin lacks blocks.0.ffn.theta"),
        (["--steps", "1"], "not 1 in all"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, fails: Callable[..., str], options: list[str], said: str) -> None:
    given = ["--init", str(folder / "theirs.bin"), "--data", str(folder / "text.txt"), "--steps", "0"]
    assert said in fails("train-qat", *given, *options)


def test_no_step_needs_weights_to_begin_with(folder: Path, fails: Callable[..., str]) -> None:
    assert "not 0 in all" in fails("train-qat", "--data", str(folder / "text.txt"), "--steps", "0")


def test_a_shard_that_changed_is_trained_from_anew(tmp_path: Path) -> None:
    """The index of a checkpoint says nothing of what its files hold."""
    model = SpikeGPT(Config(1, 8))
    index, shard = tmp_path / "model.safetensors.index.json", tmp_path / "part.safetensors"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(model.state_dict(), shard.name)}))
    digests = []
    for bias in (0.0, 1.0):
        with torch.no_grad():
            model.ln_out.bias.fill_(bias)
        save_file(model.state_dict(), shard)
        place = Workspace(tmp_path / "tiny", "tiny", "verilog")
        digests.append(train.digests(place, train.Training(init=str(index)), {"init": str(index)}))
    assert digests[0] != digests[1]
