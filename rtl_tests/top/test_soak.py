"""Random whole models until the time is up (``make soak minutes=N``); every seed is printed and can be run again."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert, operations
from spikegpt_hls.hls.fold.engine import shareable
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.hls.vitis.csim import CSimulation
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.top.cosim import Model, compare
from spikegpt_hls.sim.cycles.schedule import simulate

MAX_MULTIPLIERS, MAX_CYCLES = 256, 4096  # of one Linear: what a simulation takes seconds for


def folding(model: Path, lanes: int, rng: np.random.Generator) -> tuple[dict[str, int], list[str]]:
    """A ReuseFactor for each Linear by itself, of all that are legal and not too slow to simulate; and the Linears that
    share an engine, in half of the models."""
    engine, drawn, members = int(rng.choice([0, 0, 0, lanes, 2 * lanes, 4 * lanes])), {}, []
    for name, op in operations(model).items():
        if isinstance(op, Linear):
            legal = legal_factors(op.inputs, op.outputs, lanes)
            size = op.inputs * op.outputs
            drawn[name] = int(rng.choice([f for f in legal if f <= MAX_CYCLES and size <= f * MAX_MULTIPLIERS]))
            shared = size // engine if engine and size % engine == 0 else 0
            if shared in legal and shareable(single(op, lanes, {}, shared)) and rng.random() < 0.8:
                drawn[name] = shared
                members.append(name)
    return drawn, members


def one(seed: int, work: Path) -> tuple[int, int]:
    """A random model, folding, contexts, text and stalls: C simulation and RTL against PyTorch, every beat's cycle
    against the simulator. Values and beats compared."""
    rng = np.random.default_rng(seed)
    channels, lanes = int(rng.choice([8, 48, 64, 96])), int(rng.choice([1, 2, 8]))
    layers, weight_bits, vocabulary = (
        int(rng.integers(1, 4)),
        int(rng.choice([2, 4, 8])),
        int(rng.choice([16, 96, 256])),
    )
    contexts = int(rng.choice([1, 2, 3, 8]))
    network = random_network(layers, channels, seed, weight_bits, vocabulary)
    export(network, work)
    reuse, members = folding(work / "model.onnx", lanes, rng)
    print(
        f"seed {seed}: {layers} x {channels}, {weight_bits} bits, vocabulary {vocabulary}, {lanes} lanes, "
        f"{contexts} contexts, ReuseFactors {sorted(set(reuse.values()))}, {len(members)} Linears on an engine"
    )
    sequences = [rng.integers(0, vocabulary, int(length)) for length in rng.choice(40, contexts + 2, replace=False) + 1]
    golden = trace(network, sequences)
    software = CSimulation(convert(work / "model.onnx", work / "c", "Vitis", lanes=lanes, reuse_factor=reuse))
    for name, parts in software.run(sequences).items():
        assert np.array_equal(np.concatenate(parts), golden[name]), f"seed {seed}: {name} in C simulation"
    folded: dict[str, Any] = {"lanes": lanes, "reuse_factor": reuse, "contexts": contexts, "engine": members}
    convert(work / "model.onnx", work / "rtl", "SpikeRTL", **folded).write()
    model = Model(work / "rtl" / "rtl", work / "run")
    model.build()
    values = beats = 0
    for stall in (0, seed + 1):
        run = model.run(f"stall{stall}", sequences, stall)
        found = compare(run, golden)
        assert found.first is None, f"seed {seed}, stall {stall}: {found.first}"
        values += found.compared
        if not stall:
            schedule, moved = simulate(run.dataflow, len(golden["tokens"])), run.transfers()
            for block in run.dataflow.blocks:
                cycles = schedule.times[block.outputs[0]] - schedule.first
                got = moved[block.name].ravel() - run.source_cycles()[0]
                assert np.array_equal(got, cycles), f"seed {seed}: cycles of {block.name}"
                beats += got.size
    return values, beats


@pytest.mark.soak
@pytest.mark.parametrize("worker", range(2))
def test_random_models(worker: int, tmp_path: Path) -> None:
    end = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "60"))
    seed, models, values, beats = int(os.environ.get("SOAK_SEED", "0")) + worker, 0, 0, 0
    while time.monotonic() < end or not models:
        compared, timed = one(seed, tmp_path / str(seed))
        shutil.rmtree(tmp_path / str(seed))
        seed, models, values, beats = seed + 2, models + 1, values + compared, beats + timed
    print(f"{models} random models: {values:,} values compared with PyTorch, {beats:,} beats with the cycle simulator")
    assert values > 0
