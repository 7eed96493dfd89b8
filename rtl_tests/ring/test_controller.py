"""Weights behind a controller that others wrote: equal to PyTorch, and simulated at the pace that it had."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from spikegpt_hls.rtl_tests.ring import controller
from spikegpt_hls.rtl_tests.ring.folded import assert_cycles, assert_equal, folded


@pytest.mark.parametrize(("chip", "bus"), [(controller.NATIVE, 64), (controller.SDR, 64), (controller.DDR3, 128)])
def test_rows_behind_litedram_are_pytorch_and_are_simulated(chip: controller.Chip, bus: int, tmp_path: Path) -> None:
    ring = folded(
        tmp_path, 2, 16, 4, weights="memory", placement="spike-driven", bus=bus, batch=2,
        controller=partial(controller.sources, bus=bus, chip=chip, folder=tmp_path / "controller"),
    )  # fmt: skip
    run, comparison = ring.run("flowing")
    assert_equal(ring, run, comparison)
    assert_cycles(run, ring.schedule(pace=controller.pace(run.folder)))
