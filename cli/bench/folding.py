"""Whether multipliers idle: the fastest plan within a budget, streamed through the RTL of the whole model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.steps import activity
from spikegpt_hls.cli.steps.cosim import golden_of
from spikegpt_hls.rtl_tests.top.pace import Pace

BUDGETS = (32, 128, 512)


def paces(runner: Runner) -> dict[int, Pace]:
    """By budget of multipliers: what the RTL of the fastest plan within it does."""
    from spikegpt_hls.hls.convert import operations
    from spikegpt_hls.hls.fold.planning import fastest
    from spikegpt_hls.rtl_tests.top.pace import measure

    onnx, paced = runner.place.onnx, {}
    network = operations(onnx)
    driven = {name: found.mean for name, found in activity.driven(runner.place, None, network).items()}
    text = golden_of(runner.place.vectors)["tokens"]
    for budget in BUDGETS:
        with TemporaryDirectory() as folder, runner.console.status(f"bench: RTL within {budget} multipliers"):
            plan = fastest(network, budget, events=driven)
            paced[budget] = measure(onnx, plan, Path(folder), driven=driven, text=text if driven else None)
    return paced


def show(runner: Runner, found: Mapping[int, Pace]) -> None:
    """Measured on the RTL, beside the simulator's word and what no folding of so many multipliers could beat."""
    columns = ("budget", "multipliers", "cycles per token, RTL", "simulated", "if none idled", "share", "busy")
    table = Table(*columns)
    for budget, pace in found.items():
        cycles = (f"{value:,.2f}" for value in (pace.rtl, pace.simulated, pace.ideal))
        table.add_row(str(budget), str(pace.plan.multipliers), *cycles, f"{pace.share:.1%}", f"{pace.busy:.2%}")
    runner.console.print(table)
    same, all_of_them = (sum(getattr(pace, name) for pace in found.values()) for name in ("equal", "compared"))
    runner.say(
        f"preset {runner.place.preset}, steady-state prompt streaming, measured by the RTL's counters and taps; "
        f"{same:,} of {all_of_them:,} transfers in the simulated cycle"
    )


def as_json(found: Mapping[int, Pace]) -> dict[str, Any]:
    return {"foldings": {str(budget): _row(pace) for budget, pace in found.items()}}


def _row(pace: Pace) -> dict[str, Any]:
    return {
        "multipliers": pace.plan.multipliers,
        "lanes": pace.plan.lanes,
        "bottleneck": pace.plan.bottleneck,
        "cycles_per_token_rtl": pace.rtl,
        "cycles_per_token_simulated": pace.simulated,
        "cycles_per_token_ideal": pace.ideal,
        "share": pace.share,
        "busy": pace.busy,
        "transfers": {"compared": pace.compared, "equal": pace.equal},
        "provenance": "measured: RTL in simulation (Verilator), counters and taps; simulated and ideal are derived",
    }
