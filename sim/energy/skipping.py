"""The same network with its zeros skipped, or added: what it would spend, by counts that were made already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.fold.planning import without_engine
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.sim.energy.model import BlockEnergy, EnergyReport, priced


def skipped(dataflow: Dataflow, report: EnergyReport, timing: Callable[[Block], Timing] = rtl_timing) -> EnergyReport:
    """Every Linear that would spend less if events drove it (``hls/rtl/event_linear.sv``) is driven by them, within as
    many adders or multipliers. An engine's share them out: nothing that events drive shares one."""
    dense, driven = report, dataflow
    if any(block.engine for block in dataflow.blocks):
        driven = _private(dataflow, report)
        dense = _changed(driven, report, False, timing)
    pairs = zip(dense.blocks, _changed(driven, report, True, timing).blocks, strict=True)
    return replace(report, blocks=tuple(min(pair, key=_spent) for pair in pairs))


def added(dataflow: Dataflow, report: EnergyReport, timing: Callable[[Block], Timing] = rtl_timing) -> EnergyReport:
    """No Linear is driven by events: each reads all its weights for every token. A network of which none is stays."""
    return _changed(dataflow, report, False, timing) if any(block.events for block in dataflow.blocks) else report


def _spent(block: BlockEnergy) -> float:
    return block.compute_pj + block.memory_pj


def _private(dataflow: Dataflow, report: EnergyReport) -> Dataflow:
    """Without an engine, folded for the events that were counted."""
    events = {
        block.name: block.channels_in - spent.activity["zero_operands"]
        for block, spent in zip(dataflow.blocks, report.blocks, strict=True)
        if block.kind == "Linear"
    }
    factors = without_engine(dataflow, events)
    blocks = (replace(b, engine=None, reuse_factor=factors.get(b.name, b.reuse_factor)) for b in dataflow.blocks)
    return replace(dataflow, blocks=tuple(blocks))


def _changed(dataflow: Dataflow, report: EnergyReport, events: bool, timing: Callable[[Block], Timing]) -> EnergyReport:
    blocks = tuple(_folded(block, events) for block in dataflow.blocks)
    counted = {}
    for block, spent in zip(blocks, report.blocks, strict=True):
        found = {key: value for key, value in spent.activity.items() if key not in ("events", "skippable_macs")}
        if block.kind == "Linear":
            zeros = found["zero_operands"]
            more = {"events": block.channels_in - zeros} if events else {"skippable_macs": zeros * block.channels_out}
            found |= more
        counted[block.name] = found
    changed = replace(dataflow, blocks=blocks)
    return priced(changed, counted, report.tokens, report.table, timing, switching=report.switching)


def _folded(block: Block, events: bool) -> Block:
    """With as many adders as before, or as nearly so as the other kind can have."""
    if not isinstance(op := block.operation, Linear):
        return block
    legal = legal_factors(op.inputs, op.outputs, block.lanes, events)
    nearest = min(legal, key=lambda factor: abs(factor - block.reuse_factor))
    return replace(block, events=events, reuse_factor=nearest)
