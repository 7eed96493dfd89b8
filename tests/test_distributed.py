"""Many processes, or many small batches, make the step that one large batch makes."""

import functools
import multiprocessing
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training import distributed
from spikegpt_hls.model.training.train import LanguageModelling, Plan, train
from spikegpt_hls.quant.training.calibrate import random_network

IDS = np.random.default_rng(0).integers(0, 16, 3000).astype(np.uint8)
PLAN = Plan(steps=20, lr=3e-3, context=16, batch=4, checkpoint_every=10, ema=0.9)
NETWORKS = ("float", "quantized")


def trained(network: str, plan: Plan, resume: Path | None = None) -> dict[str, torch.Tensor]:
    """The losses and the weights at the end."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = {"float": lambda: SpikeGPT(Config(2, 16, 16)), "quantized": lambda: random_network(2, 16, vocabulary=16)}
    model = made[network]()
    losses = train(model, LanguageModelling(IDS, plan), plan, resume)
    return {"losses": torch.tensor(losses), **dict(model.named_parameters())}


def one_of_two(rank: int, port: int, network: str, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    with distributed.joined():
        torch.save(trained(network, PLAN, folder / f"resume{rank}.safetensors"), folder / f"{rank}.pt")


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def two(network: str, tmp_path: Path) -> Path:
    """What two processes, four rows each, ended with: ``0.pt`` and ``1.pt``."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=one_of_two, args=(rank, port, network, tmp_path)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    return tmp_path


@functools.cache
def alone(network: str) -> dict[str, torch.Tensor]:
    return trained(network, replace(PLAN, batch=2 * PLAN.batch))


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert torch.allclose(ours["losses"], theirs["losses"], atol=1e-5, rtol=0)
    for name, value in ours.items():
        tolerance = 1e-5 if value.dim() else 1e-4  # logarithms of scales, of which only the nearest integer counts
        assert torch.allclose(value, theirs[name], atol=tolerance, rtol=1e-5), name


def test_two_processes_are_one_of_twice_the_batch(two: Path, network: str) -> None:
    for rank in range(2):
        assert_same(torch.load(two / f"{rank}.pt"), alone(network))
    assert [path.name for path in two.glob("*.safetensors")] == ["resume0.safetensors"]  # the first one alone writes


def test_two_accumulated_batches_are_one_of_twice_the_size(network: str) -> None:
    assert_same(trained(network, replace(PLAN, accumulate=2)), alone(network))


def test_training_ends_with_the_average_of_the_weights_and_learns_without_it() -> None:
    last, none, averaged = (trained("float", replace(PLAN, ema=ema)) for ema in (None, 0.0, 0.5))
    assert torch.equal(last["losses"], averaged["losses"])
    assert torch.equal(none["head.weight"], last["head.weight"])
    assert not torch.equal(averaged["head.weight"], last["head.weight"])


def test_bfloat16_learns_what_float32_learns() -> None:
    exact, rounded = (trained("float", replace(PLAN, precision=kind))["losses"] for kind in ("float32", "bfloat16"))
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.05)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ModelError, match="unknown precision 'int4': choose one of float32, bfloat16"):
        replace(PLAN, precision="int4")


def test_a_training_that_diverges_says_so() -> None:
    class Diverging(LanguageModelling):
        def loss(self, *arguments: object) -> torch.Tensor:
            return super().loss(*arguments) * float("nan")  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"the loss is nan at step 0: a lower learning rate than 0\.003 may help"):
        train(SpikeGPT(Config(1, 8, 16)), Diverging(IDS, PLAN), PLAN)
