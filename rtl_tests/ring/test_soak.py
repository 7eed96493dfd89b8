"""Random networks whose layers share their blocks, until the time is up (``make soak minutes=N``)."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.rtl_tests.ring.folded import assert_cycles, assert_equal, folded


def drawn(seed: int) -> tuple[dict[str, Any], list[str], int]:
    """What ``folded`` is asked for, the pace of a memory, and its latency."""
    rng = np.random.default_rng(seed)
    memory = bool(rng.integers(2))
    lanes = int(rng.choice([1, 2, 4, 8] if memory else [1, 2, 3, 4, 5, 8]))
    asked: dict[str, Any] = {
        "layers": int(rng.integers(1, 8)), "channels": lanes * int(rng.integers(1, 1 + 32 // lanes)), "lanes": lanes,
        "contexts": int(rng.integers(1, 5)), "vocabulary": lanes * int(rng.integers(16 // lanes, 1 + 128 // lanes)),
        "placement": str(rng.choice(["canonical", "spike-driven"])), "weight_bits": int(rng.choice([8, 4, 2])),
    }  # fmt: skip
    own = {"weights": "memory", "batch": int(rng.integers(1, 5))} if memory else {"places": int(rng.integers(1, 9))}
    latency = int(rng.integers(1, 201))
    return asked | own, [f"+JITTER={rng.integers(200)}", f"+GAPS={rng.integers(50)}"], latency


def one(seed: int, folder: Path) -> int:
    """A random geometry, text and memory: RTL against PyTorch, flowing and with stalls, every transfer in the
    simulator's cycle. Values compared."""
    asked, pace, latency = drawn(seed)
    print(f"seed {seed}: {asked}, {latency} cycles, {pace}")
    ring = folded(folder, seed=seed, **asked)
    flowing, found = ring.run("flowing", memory=[f"+LATENCY={latency}"])
    assert_equal(ring, flowing, found)
    assert_cycles(flowing, ring.schedule(latency))
    stalled, again = ring.run("stalled", stall=seed + 1, memory=[f"+LATENCY={latency}", *pace])
    assert_equal(ring, stalled, again)
    return found.compared + again.compared


@pytest.mark.soak
@pytest.mark.parametrize("worker", range(2))
def test_random_rings(worker: int, tmp_path: Path) -> None:
    end = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "60"))
    seed, rings, values = int(os.environ.get("SOAK_SEED", "0")) + worker, 0, 0
    while time.monotonic() < end or not rings:
        values += one(seed, tmp_path / str(seed))
        shutil.rmtree(tmp_path / str(seed))
        seed, rings = seed + 2, rings + 1
    print(f"{rings} random rings: {values:,} values compared with PyTorch, every transfer with the cycle simulator")
    assert values > 0
