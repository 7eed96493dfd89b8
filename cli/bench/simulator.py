"""How much faster than the RTL's own simulation the cycle simulator tells the same: one ratio, measured in one run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.rtl_tests.top import speed as whole_model
from spikegpt_hls.rtl_tests.top.speed import TOKENS


@dataclass(frozen=True)
class Speed:
    """Seconds for the same tokens: the RTL's simulation without its start, the cycle simulator with everything."""

    rtl: float
    simulator: float
    cycles_per_second: float  # of the RTL

    @property
    def ratio(self) -> float:
        return self.rtl / self.simulator


def speed(runner: Runner, seconds: Callable[[Callable[[], object]], float]) -> Speed:
    """``seconds`` times an action; the RTL has been built."""
    from spikegpt_hls.hls.dataflow import Dataflow
    from spikegpt_hls.rtl_tests.top.cosim import Model
    from spikegpt_hls.sim.cycles.schedule import simulate
    from spikegpt_hls.sim.traces import events

    model = Model(runner.place.rtl, runner.place.work)
    dataflow = Dataflow.from_json(json.loads(runner.place.dataflow.read_text()))
    with np.load(runner.place.vectors, allow_pickle=False) as arrays:
        ids, traces = arrays["tokens"], dict(arrays)
    fired = events(dataflow, traces)

    def every_transfer() -> None:
        schedule = simulate(dataflow, TOKENS, events=fired)
        for stream in schedule.times:
            schedule.times[stream]

    with runner.console.status(f"bench: {TOKENS} tokens through the RTL and the cycle simulator"):
        rtl = whole_model.speed(model, ids)
        return Speed(rtl.seconds, seconds(every_transfer), rtl.cycles_per_second)


def show(runner: Runner, found: Speed) -> None:
    runner.say(
        f"{TOKENS} tokens, the cycle of every transfer: RTL in simulation {found.rtl:.3g} s "
        f"({found.cycles_per_second:,.0f} cycles/s), cycle simulator {found.simulator:.3g} s, {found.ratio:,.0f} times "
        "faster (measured in one run)"
    )


def as_json(found: Speed) -> dict[str, Any]:
    return {
        "simulator": {
            "tokens": TOKENS,
            "rtl_s": found.rtl,
            "rtl_cycles_per_s": found.cycles_per_second,
            "simulator_s": found.simulator,
            "ratio": found.ratio,
            "provenance": "measured: RTL in simulation (Verilator) without its start, cycle simulator, this run",
        }
    }
