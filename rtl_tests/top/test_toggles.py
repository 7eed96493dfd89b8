"""Toggles of the RTL rank three stimuli as the energy model's activity-scaled compute does."""

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF, WKV, Linear, Operation
from spikegpt_hls.rtl_tests.bench import BUILD, random_params
from spikegpt_hls.rtl_tests.top.toggles import count, toggles
from spikegpt_hls.sim.energy.stimuli import compared, random_typical, stimuli

BYTE = Format(8, 4)
SAIF = r"""
 (INSTANCE $rootio
  (NET
   (x\[0\] (T0 5) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 9))
  )
 )
 (INSTANCE lif
  (NET
   (clk (T0 5) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 100))
   (x\[0\] (T0 5) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 9))
  )
  (INSTANCE u_pipe
   (NET
    (clk (T0 5) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 100))
    (valid (T0 5) (T1 5) (TZ 0) (TX 0) (TB 0) (TC 2))
   )
  )
 )
"""


def test_nets_are_counted_but_for_clocks_and_copies_of_ports() -> None:
    assert count(SAIF) == 9 + 2


@pytest.mark.parametrize(
    ("op", "reuse_factor"),
    [
        (LIF.of(8, BYTE), 1),
        (WKV(Format(10, 7), 8, BYTE, Format(8, 5)), 1),
        (Linear(Format(8, 2), 8, 8, BYTE, Format(8, 7)), 16),
    ],
)
def test_rtl_and_model_rank_the_stimuli_alike(op: Operation, reuse_factor: int) -> None:
    block = single(op, 2, random_params(op, seed=1), reuse_factor)
    shown = stimuli(op, random_typical(op, 24))
    found = compared(block, shown, toggles(block, shown, BUILD / f"toggles_{block.name}"))
    assert found["rtl_rank"] == found["model_rank"] == ["silent", "saturated", "typical"]
    ratios = {name: (row["toggles_ratio"], row["model_ratio"]) for name, row in found["stimuli"].items()}
    print(block.name, {name: f"RTL {rtl:.3f}, model {model:.3f}" for name, (rtl, model) in ratios.items()})
    assert np.allclose(ratios["typical"], 1)
