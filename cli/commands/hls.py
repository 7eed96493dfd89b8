"""``hls``: QONNX to hardware, and what became of it."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import HLS
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.ops import Linear


def hls(runner: Runner) -> None:
    """Make ``hls/<target>/``; show the folding of each Linear, and what the target has to tell."""
    runner.make(HLS, asked=True)
    place, console = runner.place, runner.console
    folding(Dataflow.from_json(json.loads(place.dataflow.read_text())), console)
    targets.target(place.target).show(place, console)
    say(console, f"RTL: {place.rtl}")


def folding(dataflow: Dataflow, console: Console) -> None:
    """Cycles per token of each Linear and of the slowest other block, who is busy, and what the next step up costs."""
    from spikegpt_hls.hls.fold.engine import NAME
    from spikegpt_hls.hls.fold.planning import next_step_up, plan_of

    plan = plan_of(dataflow)
    multiply = {NAME, *plan.reuse_factors}
    others = max((name for name in plan.intervals if name not in multiply), key=plan.intervals.__getitem__)
    table = Table("block", "inputs x outputs", "weight bits", "ReuseFactor", "multipliers", "cycles per token", "busy")
    for block in dataflow.blocks:
        cycles = plan.intervals.get(block.name, 0)
        if isinstance(op := block.operation, Linear):
            size, bits = f"{op.inputs} x {op.outputs}", str(op.weight.bits)
            count = NAME if block.engine else str(op.inputs * op.outputs // block.reuse_factor)
            busy = f"{block.reuse_factor / plan.interval:.1%}"
            table.add_row(block.name, size, bits, str(block.reuse_factor), count, f"{cycles:g}", busy)
        elif block.name == others:
            table.add_row(f"{block.name}, slowest of the others", "", "", "", "", f"{cycles:g}", "")
    if members := dataflow.members:
        folds, cycles = members[0].folding, plan.intervals[NAME]
        figures = "", f"{cycles:g}", str(folds.simd * folds.pe), f"{cycles:g}", f"{cycles / plan.interval:.1%}"
        table.add_row(NAME, f"{len(members)} Linears", *figures)
    console.print(table)
    say(
        console,
        f"{plan.multipliers} multipliers, {plan.interval:g} cycles per token (derived), set by {plan.bottleneck}",
    )
    operations = {block.name: block.operation for block in dataflow.blocks if block.operation is not None}
    if faster := next_step_up(operations, plan):
        say(
            console,
            f"the next step up: {faster.multipliers} multipliers and {faster.lanes} lanes "
            f"for {faster.interval:g} cycles per token",
        )
    _contexts(dataflow, console)


def _contexts(dataflow: Dataflow, console: Console) -> None:
    """What the contexts are worth when each token has to wait for the one before it."""
    from spikegpt_hls.sim.cycles.contexts import interleaving

    found = interleaving(dataflow)
    texts = f"{found.contexts} contexts generate" if found.contexts > 1 else "one context generates"
    say(
        console,
        f"{found.stages} pipeline stages ({found.latency:,} cycles for one token): {texts} at {found.share:.0%} of the "
        f"rate at which a prompt is read, {found.text_latency:,.0f} cycles from a text's token to its next (derived)",
    )
