"""A random network whose layers share their blocks, as RTL, beside PyTorch's traces of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.rtl.writer import MEMORY
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.rtl_tests.top.cosim import MEMORY_SOURCES, Comparison, Model, Run, compare
from spikegpt_hls.sim.cycles.schedule import Schedule, simulate
from spikegpt_hls.sim.traces import Pace, asked, events

LENGTHS = (9, 1, 14)


@dataclass(frozen=True)
class Folded:
    """The RTL, ready to run, the sequences that it is given, and what PyTorch made of them."""

    model: Model
    sequences: list[Ints]
    golden: dict[str, Ints]

    def run(self, name: str, stall: int = 0, memory: Sequence[str] = ()) -> tuple[Run, Comparison]:
        """``memory``: plusargs of ``memory.sv``."""
        self.model.plusargs = list(memory)
        run = self.model.run(name, self.sequences, stall)
        return run, compare(run, self.golden)

    def schedule(self, latency: int = 0, pace: Pace | None = None) -> Schedule:
        """Of the run without stalls, before a memory of that latency, or one of that ``pace``."""
        dataflow = self.model.dataflow
        order = interleave([len(ids) for ids in self.sequences], dataflow.contexts, seed=0)
        tokens = len(order.row)
        fired = events(dataflow, self.golden)
        fired = {name: counts.reshape(tokens, -1)[order.row].ravel() for name, counts in fired.items()}
        return simulate(dataflow, tokens, events=fired, asked=asked(dataflow, self.golden, order.row, latency, pace))


def folded(
    folder: Path,
    layers: int,
    channels: int,
    lanes: int,
    contexts: int = 1,
    vocabulary: int = 32,
    lengths: Sequence[int] = LENGTHS,
    level: int = 0,
    seed: int = 1,
    controller: Callable[[bytes], Sequence[Path]] | None = None,
    **asked_for: Any,
) -> Folded:
    """``asked_for``: placement and weight_bits of the network, and the backend's options; ``level``: as
    ``Model.build``'s; ``controller``: from the weights' image to the sources of its ``memory``."""
    kind = {name: asked_for.pop(name) for name in ("placement", "weight_bits") if name in asked_for}
    network = random_network(layers, channels, seed=seed, vocabulary=vocabulary, formats="shared", **kind)
    export(network, folder)
    quiet = kind.get("placement") == "spike-driven"
    names = [f"blocks_{n}_{matrix}" for n in range(layers) for matrix in _INSIDE] if quiet else []
    graph = convert(
        folder / "model.onnx", folder / "hls", "SpikeRTL", lanes=lanes, events=names, contexts=contexts,
        depth="folded", **asked_for,
    )  # fmt: skip
    graph.write()
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, vocabulary, length) for length in lengths]
    rtl = folder / "hls" / "rtl"
    sources = MEMORY_SOURCES if controller is None else controller((rtl / MEMORY).read_bytes())
    model = Model(rtl, folder / "run", memory=sources)
    model.build(level=level)
    return Folded(model, sequences, trace(network, sequences))


def assert_equal(folded: Folded, run: Run, comparison: Comparison) -> None:
    """Every value that left a block, in every layer of every token, and every state that a context was left with."""
    assert comparison.mismatches == 0, comparison.first
    outputs = sum(value.size for name, value in folded.golden.items() if "." not in name and value.ndim == 2)
    assert comparison.compared >= outputs
    assert run.counters["tokens"] == sum(LENGTHS)


def assert_cycles(run: Run, schedule: Schedule) -> None:
    """Every transfer of every stream in the very cycle that the simulator says."""
    moves, start = run.moves(), run.source_cycles()[0]
    for stream, cycles in moves.items():
        assert np.array_equal(cycles.ravel() - start, schedule.times[stream] - schedule.first), stream
    assert run.counters["cycles"] == schedule.cycles


_INSIDE = ("att_key", "att_value", "att_receptance", "att_output", "ffn_key", "ffn_receptance", "ffn_value")
