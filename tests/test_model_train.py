"""Training: it learns, and a killed run ends bit for bit where it would have ended."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikegpt_hls.model import checkpoint
from spikegpt_hls.model.config import PRESETS, Config, preset
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.generate import generate
from spikegpt_hls.model.sampling import Sampler
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.time_mix import time_mix_schedule
from spikegpt_hls.model.training.train import LanguageModelling, Plan, _optimizer, train
from spikegpt_hls.quant.training.train_qat import train_qat

SMALLEST = replace(
    PRESETS["tiny"],
    config=Config(1, 16),
    recipe=replace(PRESETS["tiny"].recipe, context=16, batch=4, validation_windows=4, checkpoint_every=3, ema=0.9),
)
STEPS = {"float": 45, "qat": 15}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other


def train_smallest(folder: Path, phase: str = "", last: int = 0) -> None:
    """60 steps on one thread, a checkpoint every 3; the process kills itself in step ``last`` of ``phase``."""
    torch.set_num_threads(1)
    PRESETS["smallest"] = SMALLEST
    loss = LanguageModelling.loss

    def deadly(objective: LanguageModelling, model: torch.nn.Module, step: int, *shard: int) -> torch.Tensor:
        if (objective.plan.steps, step) == (STEPS.get(phase), last):
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(objective, model, step, *shard)

    LanguageModelling.loss = deadly  # type: ignore[method-assign]
    train_qat(folder, "smallest", steps=60)


def points(folder: Path) -> dict[str, list[int]]:
    """The steps of the loss in TensorBoard, as it would draw them."""
    curves = {}
    for phase in STEPS:
        events = EventAccumulator(str(next(folder.glob(f"tensorboard/*/{phase}")))).Reload()
        curves[phase] = [point.step for point in events.Scalars("loss")]
    return curves


def test_training_that_is_killed_at_any_step_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")  # two runs die below: a fork saves each the import of torch
    deaths = [(phase, random.randrange(steps)) for phase, steps in STEPS.items()]
    print("killed in", deaths)
    for folder, *death in (("killed", *deaths[0]), ("killed", *deaths[1]), ("killed",), ("whole",)):
        process = fork.Process(target=train_smallest, args=(tmp_path / folder, *death))
        process.start()
        process.join()
        assert process.exitcode == (-signal.SIGKILL if death else 0)
    assert (
        points(tmp_path / "killed")
        == points(tmp_path / "whole")
        == {"float": [0, 10, 20, 30, 40, 44], "qat": [0, 10, 14]}
    )
    for name in ("checkpoint.safetensors", "metrics.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert metrics["preset"] == "smallest"
    assert metrics["steps"] == len(metrics["loss_curve"]) == 60
    assert metrics["parameters"] == sum(p.numel() for p in SpikeGPT(SMALLEST.config).parameters())
    for kind in ("float", "integer"):
        assert 0 < metrics[f"val_nats_{kind}"] < 8
        assert metrics[f"val_bits_{kind}"] == pytest.approx(metrics[f"val_nats_{kind}"] / np.log(2))


def test_a_checkpoint_of_another_plan_is_not_continued(tmp_path: Path) -> None:
    ids, resume = np.random.default_rng(0).integers(0, 8, 500), tmp_path / "t.safetensors"
    plans = [Plan(steps=4, lr=lr, context=8, batch=2, checkpoint_every=2) for lr in (1e-3, 2e-3)]
    ends = []
    for plan in plans:
        torch.manual_seed(0)
        model = SpikeGPT(Config(1, 8, 8))
        train(model, LanguageModelling(ids, plan), plan, resume)
        ends.append(model.head.weight.detach().clone())
    torch.manual_seed(0)
    fresh = SpikeGPT(Config(1, 8, 8))
    train(fresh, LanguageModelling(ids, plans[1]), plans[1])
    assert torch.equal(fresh.head.weight, ends[1])
    assert not torch.equal(ends[0], ends[1])


def test_the_learning_rate_warms_up_and_ends_at_its_last() -> None:
    plan = Plan(steps=100, lr=1.0, final_lr=0.1, warmup=4)
    assert [plan.lr_at(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert plan.lr_at(52) == pytest.approx(0.55)  # halfway down
    assert plan.lr_at(100) == pytest.approx(0.1)
    assert Plan(steps=20, lr=1.0, warmup=50).lr_at(0) == 0.5  # a tenth of the steps at most


def test_a_steps_rows_follow_from_seed_and_step_and_their_targets_are_the_next_tokens() -> None:
    ids = np.arange(1000, dtype=np.uint16)
    plan = Plan(steps=2, lr=1.0, context=8, batch=4, seed=1)
    batches = [LanguageModelling(ids, p).batch(step) for p, step in ((plan, 0), (plan, 1), (replace(plan, seed=2), 0))]
    for inputs, targets in batches:
        assert inputs.shape == (4, 8)
        assert torch.equal(targets, inputs + 1)
        assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)
    first, second, other = (inputs for inputs, _ in batches)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(LanguageModelling(ids, plan).batch(0)[0], first)
    halves = [LanguageModelling(ids, plan).batch(0, shard, 2)[0] for shard in range(2)]
    assert torch.equal(halves[0], first)  # a shard more adds rows
    assert not torch.equal(halves[1], first)


def test_only_matrices_decay() -> None:
    model = SpikeGPT(Config(1, 8, 16))
    groups = _optimizer(model, Plan(steps=1, lr=1.0, weight_decay=0.1)).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    decaying = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert decaying == {name for name, p in model.named_parameters() if p.dim() == 2 and name != "emb.weight"}
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_initial_values_are_those_of_rwkv4() -> None:
    """Four channels, worked out by hand from the released code's formulas for layers 0 and 2 of 3."""
    first, last = (time_mix_schedule(Config(3, 4), layer) for layer in (0, 2))
    powers = [(n / 3) ** 0.7 for n in range(4)]
    assert first["time_decay"].tolist() == pytest.approx([-5 + 8 * p for p in powers])
    assert last["time_decay"].tolist() == pytest.approx([-5 + 8 * (n / 3) ** 2 for n in range(4)])
    assert first["time_first"].tolist() == pytest.approx([np.log(0.3) + z for z in (0, 0.5, -0.5, 0)])
    assert first["time_mix_k"].flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
    assert first["time_mix_v"].flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
    assert first["time_mix_r"].flatten().tolist() == pytest.approx([0, 0.5, 0.5**0.5, 0.75**0.5])
    third = [0, 0.25 ** (1 / 3), 0.5 ** (1 / 3), 0.75 ** (1 / 3)]
    assert last["time_mix_k"].flatten().tolist() == pytest.approx(third)
    assert last["time_mix_v"].flatten().tolist() == pytest.approx([x + 0.3 for x in third])


def test_a_small_network_learns_a_repeated_phrase() -> None:
    torch.manual_seed(0)
    phrase = b"the quick brown fox jumps over the lazy dog. "
    model = SpikeGPT(Config(1, 32))
    plan = Plan(steps=150, lr=1e-2, context=48, batch=4)
    losses = train(model, LanguageModelling(np.frombuffer(phrase * 40, np.uint8), plan), plan)
    assert losses[-1] < 0.5 < losses[0]
    text = bytes(generate(model.eval(), phrase + b"the quick ", 20, Sampler(temperature=0)))
    assert text == b"brown fox jumps over"


def test_a_read_only_or_full_folder_is_one_sentence_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"x": torch.ones(2)}, {"seed": 1})
    with pytest.raises(ModelError, match=r"cannot write .*Not a directory"):
        checkpoint.save(path / "below" / "c.safetensors", {"x": torch.ones(2)}, {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ModelError, match="No space left"):
        checkpoint.save(path, {"x": torch.zeros(2)}, {"seed": 2})
    monkeypatch.undo()
    assert checkpoint.load(path)[1] == {"seed": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_that_is_not_ours_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"\x00" * 7)
    with pytest.raises(ModelError, match="truncated"):
        checkpoint.load(path)
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(ModelError, match="not written by spikegpt-hls"):
        checkpoint.load(path)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="unknown preset 'huge': choose one of tiny, small, 46m, 216m"):
        preset("huge")


def test_the_46m_preset_has_the_released_parameter_count() -> None:
    with torch.device("meta"):
        model = SpikeGPT(Config(12, 512, 5458))
    assert sum(p.numel() for p in model.parameters()) == 46_553_088


def test_sampling_is_seeded_and_top_p_cuts_the_tail() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    draws = [Sampler(s, 1.0, 0.75).pick(logits) for s in range(400)]
    assert set(draws) == {0, 1}
    assert 0.5 < np.mean(np.array(draws) == 0) < 0.75
    first, second = Sampler(7), Sampler(7)
    assert [first.pick(logits) for _ in range(50)] == [second.pick(logits) for _ in range(50)]
    assert Sampler(temperature=0).pick(logits) == 0
    settled = [Sampler(seed, 0.5, 1.0).pick(logits) for seed in range(2000)]  # squares of the shares, of 0.365
    assert np.bincount(settled, minlength=4) / 2000 == pytest.approx([0.685, 0.247, 0.062, 0.007], abs=0.03)
    default, named = Sampler(), Sampler(seed=0, temperature=1.0, top_p=0.9)
    assert [default.pick(logits) for _ in range(50)] == [named.pick(logits) for _ in range(50)]


@pytest.mark.parametrize("kwargs", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}])
def test_sampling_refuses_settings_without_meaning(kwargs: dict) -> None:
    with pytest.raises(ModelError):
        Sampler(**kwargs)


def test_sampling_needs_no_torch() -> None:
    code = (
        "import sys, spikegpt_hls.model.sampling as s; s.Sampler().pick([0.0, 1.0]); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
