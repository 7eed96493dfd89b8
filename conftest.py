"""Models that several tests share, made once per run of the suite."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: 516 held-out tokens in three sequences of 86, 172 and 258.
TOKENS = 516


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Workers of pytest-xdist share the folder; the first one fills it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def trained(shared: Path) -> Path:
    """``build/tiny``: trained briefly on the default text, exported with golden vectors."""
    from spikegpt_hls.cli.main import run

    with _locked(shared / "build"):
        assert run(["export", "--build", str(shared / "build"), "--steps", "120", "--tokens", str(TOKENS)]) == 0
    return shared / "build" / "tiny"


@pytest.fixture(scope="session")
def random48(shared: Path) -> Path:
    """A random network of 3 layers and 48 channels, exported with golden vectors of as many random tokens."""
    import numpy as np

    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.vectors import golden
    from spikegpt_hls.quant.training.calibrate import random_network

    folder = shared / "random48"
    with _locked(folder):
        if not (folder / "vectors.npz").exists():
            network = random_network(3, 48, seed=7, weight_bits=4)
            ids = np.random.default_rng(7).integers(0, 256, TOKENS)
            export(network, folder)
            golden(network, ids, folder, TOKENS, sequences=4)
    return folder
