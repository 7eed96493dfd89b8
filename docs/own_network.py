"""A network of one's own, from PyTorch to simulated hardware: scikit-learn's digits, classified by spikes.

    python docs/own_network.py [FOLDER]

``docs/own_network.md`` says what comes out. What it writes lies in ``FOLDER`` (``build/own_network``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import Source
from spikegpt_hls.quant.plain_units import LIF
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.trained_units import Linear
from spikegpt_hls.quant.training.calibrate import calibrate
from spikegpt_hls.quant.units import Network, Run, Stream
from spikegpt_hls.rtl_tests.top import taps
from spikegpt_hls.rtl_tests.top.cosim import Model, compare
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.energy.model import energy
from spikegpt_hls.sim.resources.synthesis import resources
from spikegpt_hls.sim.traces import events

STEPS = 8  # an image is shown so often: it is a sequence of so many tokens
PIXEL = Format(4, 4, signed=False)  # 0 to 15 sixteenths
EPOCHS, BATCH, RATE, HELD_OUT = 20, 64, 2e-2, 360
#: (images, 64) integers, and their digits.
Images = tuple[Ints, Ints]


class Digits(Network):
    source = Source(PIXEL, (64,))

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.hidden, self.fire = Linear(64, hidden, 4, Edge(6)), LIF(hidden)  # weights of 4 bits, sums of 6
        self.classes, self.vote = Linear(hidden, 10, 4, Edge(6)), LIF(10)
        self.name_units()

    def join(self, run: Run, x: Stream) -> Stream:
        for unit in (self.hidden, self.fire, self.classes, self.vote):
            x = unit(run, x)
        return x


def digits() -> tuple[Images, Images]:
    """To learn from, and held out; a pixel of 16 is one of 15."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    pixels, labels = np.minimum(data.data, PIXEL.hi).astype(np.int64)[order], data.target[order]
    return (pixels[HELD_OUT:], labels[HELD_OUT:]), (pixels[:HELD_OUT], labels[:HELD_OUT])


def shown(pixels: Ints) -> Tensor:
    """(images, 64) to (images, STEPS, 64), as the network reads them."""
    return torch.from_numpy(Digits.source.tensor(np.repeat(pixels[:, None], STEPS, axis=1)))


def batches(images: Images, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    pixels, labels = images
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(labels))
        for rows in np.array_split(order, -(-len(order) // BATCH)):
            yield shown(pixels[rows]), torch.from_numpy(labels[rows])


def train(network: Digits, images: Images, epochs: int = EPOCHS) -> None:
    """Quantized from the first step on; a digit's logit is how often its neuron fires."""
    for layer in (network.hidden, network.classes):
        nn.init.normal_(layer.weight, std=0.3)  # large enough that neurons fire
    calibrate(network, [shown(images[0][:256])])
    optimizer, steps = torch.optim.Adam(network.parameters()), epochs * -(-len(images[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for x, labels in batches(images, epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x).sum(1), labels).backward()
        optimizer.step()
        schedule.step()
    network.eval()


def hardware(network: Digits, folder: Path) -> tuple[Dataflow, Model]:
    """QONNX, and the RTL of it, built by Verilator. Both matrices take steps only for inputs that are not 0."""
    sequence, _ = export(network, folder)
    graph = convert(sequence, folder / "hls", "SpikeRTL", lanes=2, events=["hidden", "classes"])
    graph.write()
    model = Model(folder / "hls" / "rtl", folder / "work")
    model.build(level=1)
    return dataflow(graph), model


def votes(spikes: NDArray) -> Ints:
    """(images * STEPS, 10) spikes to digits: an image's is the neuron that fires most, of equals the first."""
    counts: Ints = spikes.reshape(-1, STEPS, 10).sum(axis=1).argmax(axis=1)
    return counts


def measure(flow: Dataflow, model: Model, network: Digits, images: Images) -> Iterator[str]:
    """The RTL beside PyTorch, the cycle simulator and the energy model, on sequences of one image each."""
    pixels, labels = images
    sequences: Sequence[Ints] = list(np.repeat(pixels[:, None], STEPS, axis=1))
    expected = trace(network, sequences)
    run = model.run("digits", sequences)
    found, count = compare(run, expected), len(labels)
    yield f"{found.mismatches} of {found.compared:,} values differ between RTL and PyTorch, {count} images"
    right = votes(taps.integers(flow["vote"], run.folder)[1]) == labels
    yield f"{right.mean():.2%} of the held-out digits are right, by the RTL"
    schedule = simulate(flow, STEPS * count, events=events(flow, expected))
    yield f"{run.counters['cycles']:,} cycles by the RTL's counter, {schedule.cycles:,} by the cycle simulator"
    yield f"{run.counters['cycles'] / count:,.1f} cycles an image; {alone(flow, expected)} where it comes alone"
    report = energy(flow, expected)
    share = report.memory_pj / report.total_pj
    yield f"{STEPS * report.joules_per_token * 1e9:.2f} nJ an image, of which {share:.0%} is memory"
    fired = {name: float(expected[name].mean()) for name in ("fire", "vote")}
    yield f"firing: hidden {fired['fire']:.1%}, output {fired['vote']:.1%}"


def alone(flow: Dataflow, expected: dict[str, NDArray]) -> int:
    """Cycles of the first image by itself, from its first pixels to its last spikes."""
    first = {name: values[:STEPS] for name, values in expected.items()}
    return simulate(flow, STEPS, events=events(flow, first)).cycles


def main(folder: Path) -> None:
    torch.manual_seed(0)
    start, network, (learned, held_out) = time.perf_counter(), Digits(), digits()

    def done(what: str) -> None:
        print(f"{time.perf_counter() - start:5.0f} s: {what}", flush=True)

    train(network, learned)
    done(f"{EPOCHS} epochs of {len(learned[1])} images")
    flow, model = hardware(network, folder)
    done(f"SystemVerilog in {folder / 'hls' / 'rtl'}, built")
    for line in measure(flow, model, network, held_out):
        done(line)
    used = resources(flow, model.rtl)["total"]
    done(", ".join(f"{used[kind]:g} {kind.upper()}" for kind in ("lut", "ff", "dsp", "bram36")) + " by Yosys, xc7")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/own_network"))
