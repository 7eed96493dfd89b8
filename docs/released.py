"""Runs both networks of the released SpikeGPT beside ``SpikeGPT.from_pretrained``.

    python docs/released.py FOLDER [GAIN [LAYERS ...]]

``FOLDER`` is a checkout of github.com/ridgerchu/SpikeGPT. Its ``src/model.py`` and ``src/model_run.py`` run as they
are, on one CPU, but for two replacements: the CUDA kernel of WKV by the recurrence that it computes, and the neurons'
CuPy backend by the PyTorch one that comes with them. ``docs/released.md`` says what comes out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import cpp_extension

from spikegpt_hls.model.spikegpt import SpikeGPT

TOKENS = 1024  # the longest that the released kernel takes
CHANNELS = 128
GAIN = 2.0  # weights large enough that neurons fire
LAYERS = (6, 12, 18)
VOCABULARIES = (77, 256)  # with and without the binary embedding in model_run.py


def recurrence(batch: int, tokens: int, channels: int, decay: Tensor, first: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``cuda/wkv_cuda.cu``, ``kernel_forward``: k, v (B, T, C) to y (B, T, C), with its running maximum."""
    w, y = -torch.exp(decay), torch.empty_like(v)
    p, q, o = torch.zeros(batch, channels), torch.zeros(batch, channels), torch.full((batch, channels), -1e38)
    for t in range(tokens):
        top = torch.maximum(o, first + k[:, t])
        a, b = torch.exp(o - top), torch.exp(first + k[:, t] - top)
        y[:, t] = (a * p + b * v[:, t]) / (a * q + b)
        top = torch.maximum(w + o, k[:, t])
        a, b = torch.exp(w + o - top), torch.exp(k[:, t] - top)
        p, q, o = a * p + b * v[:, t], a * q + b, top
    return y


def load(folder: str) -> tuple[Any, Any]:
    """The released modules ``src.model`` and ``src.model_run``."""
    sys.path.insert(0, folder)
    os.environ["RWKV_JIT_ON"] = "0"
    cpp_extension.load = lambda **_: None  # what would compile the CUDA kernel
    with contextlib.redirect_stdout(None):
        from src import model, model_run  # type: ignore[import-not-found]
        from src.spikingjelly.clock_driven import neuron  # type: ignore[import-not-found]
    neuron.check_backend = lambda backend: None
    model.RUN_CUDA = recurrence
    return model, model_run


def random_network(released: Any, layers: int, vocabulary: int, gain: float) -> Any:
    """A released ``GPT``, its own initial values but for matrices, which are normal with ``gain / sqrt(inputs)``."""
    torch.manual_seed(0)
    config = released.GPTConfig(vocabulary, TOKENS, model_type="RWKV", n_layer=layers, n_embd=CHANNELS)
    network = released.GPT(config).eval()
    for module in network.modules():
        if hasattr(module, "backend"):
            module.backend = "torch"
    for name, value in network.named_parameters():
        if value.dim() == 2 and name != "emb.weight":
            nn.init.normal_(value, std=gain / value.shape[1] ** 0.5)
    return network


def training_logits(network: Any, ids: Tensor) -> tuple[Tensor, float]:
    """Of ``src/model.py`` (T, V), and the share of neurons that fire."""
    fired: list[Tensor] = []
    for block in network.blocks:
        for neurons in (block.lif1, block.lif2):
            neurons.reset()  # they would keep their membranes from call to call
            neurons.register_forward_hook(lambda *found: fired.append(found[2].mean()))
    network.head.register_forward_hook(lambda *found: fired.append(found[2]))
    network(ids[None], ids[None])
    *rates, logits = fired
    return logits[0], float(torch.stack(rates).mean())


def running_logits(model_run: Any, path: Path, ids: Tensor, network: Any) -> Tensor:
    """Of ``src/model_run.py`` (T, V), token by token, as ``run.py`` calls it."""
    config = network.config
    arguments = types.SimpleNamespace(
        FLOAT_MODE="fp32", RUN_DEVICE="cpu", MODEL_NAME=str(path.with_suffix("")), ctx_len=TOKENS,
        vocab_size=config.vocab_size, n_layer=config.n_layer, n_embd=config.n_embd,
    )  # fmt: skip
    with contextlib.redirect_stdout(None):
        running = model_run.RWKV_RNN(arguments)
    state, first, second, rows = None, None, None, []
    for token in ids.tolist():
        row, state, first, second = running.forward([token], state, first, second)
        rows.append(row)
    return torch.stack(rows)


def compare(released: Any, model_run: Any, layers: int, vocabulary: int, gain: float) -> str:
    """One row of the table."""
    network = random_network(released, layers, vocabulary, gain)
    ids = torch.randint(vocabulary, (TOKENS,))
    want, rate = training_logits(network, ids)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "released.pth"
        torch.save(network.state_dict(), path)
        ours = SpikeGPT.from_pretrained(path).eval()
        run = running_logits(model_run, path, ids, network)
    found = [*apart(ours(ids[None])[0], want), *in_float64(ours, network, ids), apart(run, want)[0]]
    return f"| {layers} | {vocabulary} | {gain:g} | {rate:.1%} | {' | '.join(found)} |"


def apart(logits: Tensor, want: Tensor) -> tuple[str, str]:
    """At which share of the positions the largest logit is the same one, and the largest difference."""
    same = (logits.argmax(-1) == want.argmax(-1)).double().mean()
    return f"{float(same):.1%}", f"{float((logits - want).abs().max()):.2g}"


def in_float64(ours: SpikeGPT, network: Any, ids: Tensor) -> tuple[str, str]:
    """``apart`` without float32's rounding."""
    torch.set_default_dtype(torch.float64)
    found = apart(ours.double()(ids[None])[0], training_logits(network.double(), ids)[0])
    torch.set_default_dtype(torch.float32)
    return found


@torch.no_grad()
def main() -> None:
    """The table, a row for each depth and vocabulary."""
    folder, *more = sys.argv[1:]
    gain, layers = float(more[0]) if more else GAIN, [int(count) for count in more[1:]] or LAYERS
    released, model_run = load(folder)
    print("| layers | vocabulary | gain | firing | ours: argmax | apart | in float64: argmax | apart | model_run.py |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in layers:
        for vocabulary in VOCABULARIES:
            print(compare(released, model_run, count, vocabulary, gain), flush=True)


if __name__ == "__main__":
    main()
