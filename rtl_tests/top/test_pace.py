"""The RTL of the whole model streams at the planned pace, its multipliers never idle, and the counters say so."""

import json
from pathlib import Path

import pytest

from spikegpt_hls.hls.convert import operations
from spikegpt_hls.hls.fold.planning import fastest
from spikegpt_hls.rtl_tests.top.cosim import Model
from spikegpt_hls.rtl_tests.top.pace import TOKENS, measure


@pytest.mark.slow  # a smaller network's engine is in rtl_tests/linears/test_engine.py
def test_no_multiplier_of_an_engine_idles(trained: Path, tmp_path: Path) -> None:
    """Its tokens do not leave evenly: a stretch of them may hold a part of one more, or less."""
    network = operations(trained / "model.onnx")
    plan = fastest(network, 128)
    pace = measure(trained / "model.onnx", plan, tmp_path, level=1)
    assert pace.plan == plan
    assert pace.equal == pace.compared > 0
    assert pace.rtl == pace.simulated == pytest.approx(plan.interval, rel=0.01)
    assert (plan.bottleneck, plan.multipliers) == ("engine", 128)
    assert plan.interval < fastest(network, 128, engine=False).interval
    assert pace.share >= 0.95
    assert pace.busy == 1
    assert counters(tmp_path / "run" / "pace")["busy_cycles"] == TOKENS * plan.interval


def test_no_multiplier_idles_within_a_budget(trained: Path, tmp_path: Path) -> None:
    plan = fastest(operations(trained / "model.onnx"), 128, engine=False)
    pace = measure(trained / "model.onnx", plan, tmp_path, level=1)
    assert pace.plan == plan
    assert pace.equal == pace.compared > 0
    assert pace.rtl == pace.simulated == plan.interval
    assert plan.multipliers <= 128
    assert pace.share >= 0.95
    assert pace.busy >= 0.98
    steps = plan.reuse_factors[plan.bottleneck]
    assert counters(tmp_path / "run" / "pace")["busy_cycles"] == TOKENS * steps

    # in generation every token waits for the one before: the same counter shows multipliers that idle
    Model(tmp_path / "rtl", tmp_path / "run").generate("waiting", [1, 2], 4, {"seed": 0})
    waiting = counters(tmp_path / "run" / "waiting")
    assert waiting["busy_cycles"] == 6 * steps
    assert waiting["busy_cycles"] < waiting["cycles"] / 2


def counters(folder: Path) -> dict[str, int]:
    return dict(json.loads((folder / "counters.json").read_text()))
