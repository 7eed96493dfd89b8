"""A token of the integer model beside the ``rwkv`` package: ``python -m spikegpt_hls.quant.export.peer --rwkv FOLDER``.

``FOLDER`` is where ``pip install --no-deps --target FOLDER rwkv`` put the package. It runs its own code, in its
strategy ``cpu fp32``, over an RWKV-4 of random weights in the geometry and with the vocabulary of the integer model
beside it: the same matrices, without neurons. Both take a token in turns, in one process and on one thread, each fed
what it gave.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from spikegpt_hls.model.config import Config, preset
from spikegpt_hls.model.generate import generate
from spikegpt_hls.model.sampling import Sampler
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.export.stepper import Stepper
from spikegpt_hls.quant.training.calibrate import random_network

PRESETS = ("46m", "small")
#: Makes the next token.
Next = Callable[[], object]


def ours(config: Config) -> Next:
    network = random_network(config.layers, config.channels, vocabulary=config.vocabulary)
    tokens = generate(Stepper(network), [1], 10**9, Sampler(temperature=0))
    return lambda: next(tokens)


def peer(config: Config) -> Next:
    """``rwkv.model.RWKV``, greedy as ours."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):  # it prints every layer as it loads
        path = Path(folder) / "random.pth"
        torch.save(SpikeGPT(config).state_dict(), path)  # RWKV-4's names are the released ones
        model = importlib.import_module("rwkv.model").RWKV(model=str(path.with_suffix("")), strategy="cpu fp32")

    def tokens() -> Iterator[int]:
        token, state = 1, None
        while True:
            logits, state = model.forward([token], state)
            token = int(logits.argmax())
            yield token

    stream = tokens()
    return lambda: next(stream)


def take_turns(both: dict[str, Next], tokens: int) -> dict[str, list[float]]:
    """Seconds of every token."""
    times: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(tokens):
        for name, make in both.items():
            start = time.perf_counter()
            make()
            times[name].append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rwkv", type=Path, required=True, help="where pip put the package (--target)")
    parser.add_argument("--tokens", type=int, default=100, help="tokens of each in a repetition")
    asked = parser.parse_args()
    sys.path.append(str(asked.rwkv))
    os.environ |= {"RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0", "RWKV_V7_ON": "0"}
    torch.set_num_threads(1)
    threadpool_limits(1)
    console = Console(width=140)
    console.print(f"rwkv {importlib.metadata.version('rwkv')}, PyTorch {torch.__version__}, one thread")
    table = Table("a token", *(f"{n + 1}: min, median ms" for n in range(3)))
    with torch.inference_mode():
        for name in PRESETS:
            config = preset(name).config
            size = f"{config.layers} x {config.channels}, vocabulary {config.vocabulary}"
            both = {f"integer model, {size}": ours(config), f"rwkv, {size}": peer(config)}
            take_turns(both, 5)
            repetitions = [take_turns(both, asked.tokens) for _ in range(3)]
            for which in both:
                cells = [f"{min(r[which]) * 1e3:.2f}, {statistics.median(r[which]) * 1e3:.2f}" for r in repetitions]
                table.add_row(which, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
