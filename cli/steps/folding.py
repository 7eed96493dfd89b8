"""Where the multipliers go: by hand (``lanes``, ``reuse``), by budget (``multipliers``), by rate, or by a file; and how
many sequences share them (``contexts``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import Step
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.ops import Linear, Operation

#: Channels per beat (None: ``LANES``, or 1 where that does not divide the vocabulary), and every Linear's ReuseFactor
#: (None: the largest that keeps 512 cycles per token); or a budget; or tokens per second at a clock in MHz; or a file.
#: However it is folded, ``contexts`` sequences are interleaved (None: what the file says, or one).
DEFAULTS = {
    "lanes": None, "reuse": None, "multipliers": None, "rate": None, "clock": 100.0, "folding": None, "contexts": None,
}  # fmt: skip
WAYS = (("lanes", "reuse"), ("multipliers",), ("rate",), ("folding",))
LANES = 2
FILE = "folding.yml"


def settled(step: Step) -> Step:
    """``step`` with one way to fold: the one that was named now makes the ones before it void."""
    named = {way: name for way in WAYS for name in way if name in step.asked}
    if len(named) > 1:
        raise ConversionError(f"{' and '.join(named.values())} are different ways to fold: name one of them")
    void = {name: DEFAULTS[name] for way in WAYS if named and way not in named for name in way}
    step = replace(step, asked={**void, **step.asked})
    file = step.settings["folding"]
    return replace(step, inputs=(*step.inputs, Path(file))) if file else step


def recorded(request: Request) -> dict[str, Any]:
    """The options that fold as the hardware of this request is folded."""
    found = request.step(f"hls-{request.workspace.target}", (), (), DEFAULTS).settings
    return {name: value for name, value in found.items() if name != "clock" or found["rate"] is not None}


def chosen(
    request: Request,
    settings: Mapping[str, Any],
    budget: int | None = None,
    network: Mapping[str, Operation] | None = None,
    engine: bool = True,
) -> dict[str, Any]:
    """The arguments of ``convert``; where nothing was asked for, ``budget`` is the target's of multipliers.

    ``network`` has the operations of a graph that was not exported. ``engine``: whether a budget or a rate that was
    asked for may be met by an engine.
    """
    if all(settings[name] is None for name in ("lanes", "reuse", "multipliers", "rate", "folding")):
        settings, engine = {**settings, "multipliers": budget}, False
    folded = {"contexts": 1, "engine": (), **_folded(request, settings, network, engine)}
    return folded if settings["contexts"] is None else {**folded, "contexts": settings["contexts"]}


def _folded(
    request: Request, settings: Mapping[str, Any], network: Mapping[str, Operation] | None, engine: bool
) -> dict[str, Any]:
    if settings["folding"] is not None:
        return read(Path(settings["folding"]))
    if settings["multipliers"] is None and settings["rate"] is None:
        lanes = settings["lanes"]
        if lanes is None:
            lanes = 1 if json.loads(request.workspace.metrics.read_text())["vocabulary"] % LANES else LANES
        return {"lanes": lanes, "reuse_factor": settings["reuse"]}
    from spikegpt_hls.hls.convert import operations
    from spikegpt_hls.hls.fold.planning import cheapest, fastest

    network = network or operations(request.workspace.onnx)
    if settings["rate"] is None:
        plan = fastest(network, settings["multipliers"], engine)
    else:
        plan = cheapest(network, settings["clock"] * 1e6 / settings["rate"], engine)
    return {"lanes": plan.lanes, "reuse_factor": plan.reuse_factors, "engine": plan.members}


def read(path: Path) -> dict[str, Any]:
    """A file as ``write`` writes it, in the terms of hls4ml's configuration; ConversionError says what is wrong."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
        factors = {name: layer["ReuseFactor"] for name, layer in content["LayerName"].items()}
        engine = tuple(name for name, layer in content["LayerName"].items() if layer.get("Engine"))
        lanes, contexts = content["Lanes"], content.get("Contexts", 1)
    except OSError as error:
        raise ConversionError(f"cannot read the folding {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ConversionError(f"{path} is no folding: it needs Lanes, and LayerName with a ReuseFactor each") from error
    if not all(isinstance(number, int) for number in (lanes, contexts, *factors.values())):
        raise ConversionError(f"{path} is no folding: Lanes, Contexts and every ReuseFactor are whole numbers")
    return {"lanes": lanes, "reuse_factor": factors, "contexts": contexts, "engine": engine}


def write(dataflow: Dataflow, folder: Path) -> None:
    """What was chosen, as a file to edit and to name as ``folding=``."""
    import yaml

    layers = {
        b.name: {"ReuseFactor": b.reuse_factor, **({"Engine": True} if b.engine else {})}
        for b in dataflow.blocks
        if isinstance(b.operation, Linear)
    }
    content = {"Lanes": dataflow.blocks[0].lanes, "Contexts": dataflow.contexts, "LayerName": layers}
    (folder / FILE).write_text(yaml.safe_dump(content, sort_keys=False))


def show(request: Request, dataflow: Dataflow) -> None:
    """Cycles per token of each Linear and of the slowest other block, who is busy, and what the next step up costs."""
    from rich.table import Table

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
        folding, cycles = members[0].folding, plan.intervals[NAME]
        figures = "", f"{cycles:g}", str(folding.simd * folding.pe), f"{cycles:g}", f"{cycles / plan.interval:.1%}"
        table.add_row(NAME, f"{len(members)} Linears", *figures)
    request.console.print(table)
    request.say(
        f"{plan.multipliers} multipliers, {plan.interval:g} cycles per token (derived), set by {plan.bottleneck}"
    )
    operations = {block.name: block.operation for block in dataflow.blocks if block.operation is not None}
    if faster := next_step_up(operations, plan):
        request.say(
            f"the next step up: {faster.multipliers} multipliers and {faster.lanes} lanes "
            f"for {faster.interval:g} cycles per token"
        )
    _show_contexts(request, dataflow)


def _show_contexts(request: Request, dataflow: Dataflow) -> None:
    """What the contexts are worth when each token has to wait for the one before it."""
    from spikegpt_hls.sim.cycles.contexts import interleaving

    found = interleaving(dataflow)
    texts = f"{found.contexts} contexts generate" if found.contexts > 1 else "one context generates"
    request.say(
        f"{found.stages} pipeline stages ({found.latency:,} cycles for one token): {texts} at {found.share:.0%} of the "
        f"rate at which a prompt is read, {found.text_latency:,.0f} cycles from a text's token to its next (derived)"
    )
