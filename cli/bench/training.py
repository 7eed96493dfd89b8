"""How fast networks train with the fused kernels and without, and what memory a sequence needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.model.config import preset
from spikegpt_hls.model.kernels import VARIABLE
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.storage import load_network

CONTEXTS = (64, 256, 1024, 4096)
ROUNDS = 5


@dataclass(frozen=True)
class Speed:
    """Seconds of one training step, the best of some."""

    fused: float
    plain: float  # SPIKEGPT_KERNELS=torch

    @property
    def ratio(self) -> float:
        return self.plain / self.fused


@dataclass(frozen=True)
class Memory:
    """Bytes that one sequence of ``context`` tokens needs."""

    context: int
    training: int  # what the forward pass keeps for the backward pass
    state: int  # what inference, token by token, carries on


def speeds(runner: Runner) -> dict[str, Speed]:
    """A step of the float network and of the quantized one, with the preset's own batch and threads."""
    chosen = preset(runner.place.preset)
    torch.set_num_threads(chosen.recipe.threads or torch.get_num_threads())
    quantized, _ = load_network(runner.place.checkpoint)
    config = quantized.config
    ids = torch.randint(0, config.vocabulary, (chosen.recipe.batch, chosen.recipe.context + 1))
    networks: dict[str, nn.Module] = {"float": SpikeGPT(config), "quantization-aware": quantized}
    return {name: _speed(network.train(), ids) for name, network in networks.items()}


def _speed(network: nn.Module, ids: Tensor) -> Speed:
    """Both in turns, so that another program's load slows both."""
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.0, fused=True)
    times: dict[str, list[float]] = {"": [], "torch": []}
    for _ in range(1 + ROUNDS):
        for choice, seconds in times.items():
            with _kernels(choice):
                start = time.perf_counter()
                _step(network, optimizer, ids)
                seconds.append(time.perf_counter() - start)
    return Speed(*(min(seconds[1:]) for seconds in times.values()))  # the first one compiles and allocates


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, ids: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
    optimizer.step()


@contextmanager
def _kernels(choice: str) -> Iterator[None]:
    before = os.environ.get(VARIABLE, "")
    os.environ[VARIABLE] = choice
    try:
        yield
    finally:
        os.environ[VARIABLE] = before


def memories(runner: Runner) -> list[Memory]:
    """Of the preset's float network."""
    network = SpikeGPT(preset(runner.place.preset).config)
    return [memory(network, context) for context in CONTEXTS]


def memory(network: SpikeGPT, context: int) -> Memory:
    ids = torch.randint(0, network.config.vocabulary, (1, context))
    return Memory(context, _kept_for_backward(network, ids), _state(network, ids))


def _kept_for_backward(network: SpikeGPT, ids: Tensor) -> int:
    """What autograd saves, without the parameters."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        network(ids)
    return _bytes([*kept, *network.parameters()]) - _bytes(network.parameters())


def _state(network: SpikeGPT, ids: Tensor) -> int:
    state = None
    with torch.inference_mode():
        for t in range(ids.shape[1]):
            _, state = network.step(ids[:, t], state)
    return _bytes(tensor for block in state or [] for tensor in block.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of the memory that keeps ``tensors``, where several may share a storage."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def show(runner: Runner, speed: dict[str, Speed], memory: list[Memory]) -> None:
    table = Table("training", "steps/s", "plain PyTorch, steps/s", "ratio")
    for name, s in speed.items():
        table.add_row(name, f"{1 / s.fused:.2f}", f"{1 / s.plain:.2f}", f"{s.ratio:.1f}")
    runner.console.print(table)
    table = Table("context", "kept for backward, kB", "per token, kB", "state token by token, kB")
    for m in memory:
        table.add_row(str(m.context), *(f"{b / 1000:,.1f}" for b in (m.training, m.training / m.context, m.state)))
    runner.console.print(table)


def as_json(speed: dict[str, Speed], memory: list[Memory]) -> dict[str, Any]:
    training = {
        name: {"steps_per_second": 1 / s.fused, "steps_per_second_plain": 1 / s.plain, "ratio": s.ratio}
        for name, s in speed.items()
    }
    return {"training": training, "memory_bytes": [asdict(m) for m in memory]}
