"""``hls``: QONNX to hardware, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import hls_of
from spikegpt_hls.cli.steps import activity
from spikegpt_hls.cli.steps.activity import Events
from spikegpt_hls.cli.steps.cosim import golden_of
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.sim import traces


def hls(runner: Runner) -> None:
    """Make ``hls/<target>/``; show the folding of each Linear, and what the target has to tell."""
    runner.make(hls_of(runner.place), asked=True)
    place, console = runner.place, runner.console
    dataflow = Dataflow.from_json(json.loads(place.dataflow.read_text()))
    folding(dataflow, activity.measured(place, dataflow), console)
    if not (dataflow.ring and dataflow.ring.rows):  # whose pace depends on what the text asks for
        _contexts(dataflow, traces.events(dataflow, golden_of(place.vectors)), console)
    targets.target(place.target).show(place, console)
    say(console, f"RTL: {place.rtl}")


def folding(dataflow: Dataflow, events: Mapping[str, Events], console: Console) -> None:
    """Cycles per token of each Linear and of the slowest other block, who is busy, and what the next step up costs;
    ``events`` are those of the Linears that are driven by them."""
    from spikegpt_hls.hls.fold.engine import NAME
    from spikegpt_hls.hls.fold.planning import next_step_up, plan_of
    from spikegpt_hls.hls.fold.rows import NAME as ROWS
    from spikegpt_hls.hls.fold.rows import shared_beats
    from spikegpt_hls.hls.rtl.timing import interval

    expected = {name: found.mean for name, found in events.items()}
    plan = plan_of(dataflow, expected)
    multiply = {NAME, ROWS, *plan.reuse_factors}
    others = max((name for name in plan.intervals if name not in multiply), key=plan.intervals.__getitem__)
    table = Table("block", "inputs x outputs", "weight bits", "ReuseFactor", "multipliers", "cycles per token", "busy")
    for block in dataflow.blocks:
        cycles = plan.intervals.get(block.name, 0)
        if isinstance(op := block.operation, Linear) and block.rows:
            rows = expected.get(block.name, op.inputs)
            beats, of = shared_beats(block, expected.get(block.name)), f"{rows:g} rows from memory"
            size, bits = f"{op.inputs} x {op.outputs}", str(block.rows.weight_bits)
            table.add_row(block.name, size, bits, of, ROWS, f"{beats:.0f}", f"{beats / plan.interval:.1%}")
        elif isinstance(op, Linear):
            size, bits = f"{op.inputs} x {op.outputs}", str(op.weight.bits)
            count = NAME if block.engine else str(block.folding.multipliers)
            steps = block.layers * block.reuse_factor * expected.get(block.name, op.inputs) / op.inputs
            shown = f"{cycles:g}"
            if block.name in events:
                most = block.layers * interval(block, events[block.name].p99)
                shown = f"{cycles:.1f}, at most {most:.0f} of 99 in 100"
            table.add_row(block.name, size, bits, str(block.reuse_factor), count, shown, f"{steps / plan.interval:.1%}")
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
    if dataflow.ring is None and (faster := next_step_up(operations, plan, expected)):
        say(
            console,
            f"the next step up: {faster.multipliers} multipliers and {faster.lanes} lanes "
            f"for {faster.interval:g} cycles per token",
        )


def _contexts(dataflow: Dataflow, events: Mapping[str, Ints], console: Console) -> None:
    """What the contexts are worth when each token has to wait for the one before it."""
    from spikegpt_hls.sim.cycles.contexts import interleaving

    found = interleaving(dataflow, events=events)
    texts = f"{found.contexts} contexts generate" if found.contexts > 1 else "one context generates"
    say(
        console,
        f"{found.stages} pipeline stages ({found.latency:,} cycles for one token): {texts} at {found.share:.0%} of the "
        f"rate at which a prompt is read, {found.text_latency:,.0f} cycles from a text's token to its next (derived)",
    )
