"""A training step of SpikeGPT beside nanoGPT's own: ``python -m spikegpt_hls.quant.training.peer --nanogpt FOLDER``.

``FOLDER`` is a clone of github.com/karpathy/nanoGPT, whose ``model.py`` runs as it is, in the geometry of its README
for a CPU: 4 layers of 128 channels, 4 heads, 12 rows of 64 characters, no dropout, no biases (``train.py``'s default).
A step is forward, cross entropy, backward and the fused AdamW. Networks take their steps in turns, in one process, so
that another program's load slows all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.training.calibrate import calibrate

LAYERS, CHANNELS, HEADS, CONTEXT, BATCH, VOCABULARY = 4, 128, 4, 64, 12, 65
PEER = "nanoGPT"
Loss = Callable[[Tensor, Tensor], Tensor]
#: Seconds of every step, by network.
Times = dict[str, list[float]]


def peer(folder: Path) -> tuple[nn.Module, Loss]:
    """The network of ``folder/model.py``, and its loss of ids and targets (B, T)."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    geometry: dict[str, Any] = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": CHANNELS, "block_size": CONTEXT}
    model = module.GPT(module.GPTConfig(**geometry, vocab_size=VOCABULARY, dropout=0.0, bias=False))
    return model, lambda ids, targets: model(ids, targets)[1]


def revision(folder: Path) -> str:
    """The commit that is checked out in ``folder``, or what git says instead."""
    told = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True)
    return (told.stdout or told.stderr).strip()


def ours() -> dict[str, tuple[nn.Module, Loss]]:
    """The float network and the quantization-aware one."""
    config = Config(LAYERS, CHANNELS, VOCABULARY)
    model = SpikeGPT(config)
    quantized = QuantSpikeGPT(config)
    quantized.warm_start(model)
    calibrate(quantized, [torch.randint(0, VOCABULARY, (BATCH, CONTEXT))])
    networks: dict[str, nn.Module] = {"SpikeGPT, float": model, "SpikeGPT, W8A8": quantized}
    return {name: (network, next_token_loss(network)) for name, network in networks.items()}


def next_token_loss(network: nn.Module) -> Loss:
    return lambda ids, targets: F.cross_entropy(network(ids).flatten(0, 1), targets.flatten())


def take_turns(networks: dict[str, tuple[nn.Module, Loss]], steps: int) -> Times:
    """``steps`` of each, after three that compile and allocate."""
    optimizers = {
        name: torch.optim.AdamW([p for p in network.train().parameters() if p.requires_grad], lr=1e-4, fused=True)
        for name, (network, _) in networks.items()
    }
    times: Times = {name: [] for name in networks}
    for _ in range(3 + steps):
        windows = torch.randint(0, VOCABULARY, (BATCH, CONTEXT + 1))
        ids, targets = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
        for name, (_, loss) in networks.items():
            start = time.perf_counter()
            optimizers[name].zero_grad()
            loss(ids, targets).backward()
            optimizers[name].step()
            times[name].append(time.perf_counter() - start)
    return {name: seconds[3:] for name, seconds in times.items()}


def show(console: Console, repetitions: Sequence[Times]) -> None:
    """Milliseconds and ratios to the peer: minimum and median of every repetition."""
    table = Table("training step", *(f"{n + 1}: min, median ms (ratios)" for n in range(len(repetitions))))
    for name in repetitions[0]:
        cells = []
        for times in repetitions:
            (low, mid), (peer_low, peer_mid) = (
                (min(seconds), statistics.median(seconds)) for seconds in (times[name], times[PEER])
            )
            cells.append(f"{low * 1e3:.1f}, {mid * 1e3:.1f} ({low / peer_low:.2f}, {mid / peer_mid:.2f})")
        table.add_row(name, *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, required=True, help="a clone of github.com/karpathy/nanoGPT")
    parser.add_argument("--steps", type=int, default=40, help="steps of each network in a repetition")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks = {PEER: peer(asked.nanogpt)} | ours()
    console = Console(width=140)
    console.print(f"nanoGPT at {revision(asked.nanogpt)}, PyTorch {torch.__version__}, one thread")
    show(console, [take_turns(networks, asked.steps) for _ in range(3)])


if __name__ == "__main__":
    main()
