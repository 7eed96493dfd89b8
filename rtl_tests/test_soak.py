"""Random whole models until the time is up (``make soak minutes=N``); every seed is printed and can be run again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.csim import CSimulation
from spikegpt_hls.quant.calibrate import random_network
from spikegpt_hls.quant.export import export
from spikegpt_hls.quant.vectors import trace
from spikegpt_hls.rtl_tests.cosim import Model, compare
from spikegpt_hls.sim.cycles import simulate


def one(seed: int, work: Path) -> int:
    """A random model, folding, text, stalls and contexts: C simulation and RTL against PyTorch, cycles against the
    simulator."""
    rng = np.random.default_rng(seed)
    channels, lanes = int(rng.choice([8, 48, 64, 96])), int(rng.choice([1, 2, 8]))
    layers, weight_bits, vocabulary = (
        int(rng.integers(1, 4)),
        int(rng.choice([2, 4, 8])),
        int(rng.choice([16, 96, 256])),
    )
    target, contexts = int(rng.choice([64, 256, 1024])), int(rng.integers(1, 5))
    print(
        f"seed {seed}: {layers} x {channels}, {weight_bits} bits, vocabulary {vocabulary}, {lanes} lanes, {target}, "
        f"{contexts} contexts"
    )
    network = random_network(layers, channels, seed, weight_bits, vocabulary)
    sequences = [rng.integers(0, vocabulary, int(length)) for length in rng.choice(40, 3, replace=False) + 1]
    golden = trace(network, sequences)
    export(network, work)
    software = CSimulation(convert(work / "model.onnx", work / "c", "Vitis", lanes=lanes, target_cycles=target))
    for name, parts in software.run(sequences).items():
        assert np.array_equal(np.concatenate(parts), golden[name]), f"seed {seed}: {name} in C simulation"
    options = {"lanes": lanes, "target_cycles": target, "contexts": contexts}
    convert(work / "model.onnx", work / "rtl", "SpikeRTL", **options).write()
    model = Model(work / "rtl" / "rtl", work / "run")
    model.build()
    compared = 0
    for stall in (0, seed + 1):
        run = model.run(f"stall{stall}", sequences, stall)
        found = compare(run, golden)
        assert found.first is None, f"seed {seed}, stall {stall}: {found.first}"
        compared += found.compared
        if not stall:
            assert run.counters["cycles"] == simulate(run.dataflow, sum(map(len, sequences))).cycles, f"seed {seed}"
    return compared


@pytest.mark.soak
@pytest.mark.parametrize("worker", range(2))
def test_random_models(worker: int, tmp_path: Path) -> None:
    end = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "60"))
    seed, models, values = int(os.environ.get("SOAK_SEED", "0")) + worker, 0, 0
    while time.monotonic() < end or not models:
        values += one(seed, tmp_path / str(seed))
        seed, models = seed + 2, models + 1
    print(f"{models} random models, {values:,} values compared with PyTorch, none differs")
    assert values > 0
