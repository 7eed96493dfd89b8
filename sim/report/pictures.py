"""The page's pictures, from the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.engine import NAME
from spikegpt_hls.hls.fold.ring import layer_name
from spikegpt_hls.quant.ops.lif import LIF
from spikegpt_hls.sim.report.membrane import potentials, typical_neuron
from spikegpt_hls.sim.report.plots import cycles, energy, events, spikes, training
from spikegpt_hls.sim.report.plots.style import short
from spikegpt_hls.sim.report.results import Results
from spikegpt_hls.sim.traces import trace_of

RASTER_TOKENS = 1024  # drawn at most; the counts are over all of them
TIMELINE_TOKENS = 8


def pictures(results: Results, content: Mapping[str, Any]) -> dict[str, Markup]:
    """The page's plots by name."""
    lifs = [block for block in results.dataflow.blocks if block.kind == "LIF"]
    own = [block for block in content["blocks"] if block["kind"] != "Fork"]
    starts = [start for start in results.starts if start < RASTER_TOKENS]
    drawn = {
        "cycles": cycles.block_cycles(
            {block["name"]: block["cycles"] for block in own} | _engine(results.dataflow),
            results.schedule.cycles_per_token,
        ),
        "timeline": cycles.timeline(results.schedule, [block["name"] for block in own], TIMELINE_TOKENS),
        "energy": energy.energy_bars(results.energy),
    }
    if content["loss_curve"]:
        drawn["loss"] = training.loss_curve(content["loss_curve"], results.metrics.get("steps_float"))
    if lifs:
        layers = {layer_name(block, number): (block, number) for block in lifs for number in range(block.layers)}
        fired = {name: np.asarray(results.traces[name])[:RASTER_TOKENS] for name in layers}
        drawn["raster"] = spikes.spike_raster(fired, starts)
        name, neuron = typical_neuron(fired)
        block, number = layers[name]
        operation = block.operation
        inputs = trace_of(results.dataflow, results.traces, block.inputs[0])[number :: block.layers]
        assert isinstance(operation, LIF)
        own_spikes = fired[name][:, neuron]
        drawn["membrane"] = spikes.membrane(
            potentials(operation, inputs[: len(own_spikes), neuron], own_spikes, starts),
            own_spikes,
            starts,
            f"{short(name)}, neuron {neuron}",
        )
        drawn["intervals"] = spikes.intervals(content["firing"]["layers"])
    if content["events"]:
        counted = results.cosim["events"]  # type: ignore[index]
        shown = {row["name"]: np.array(counted[row["name"]][:RASTER_TOKENS]) for row in content["events"]}
        ordered = starts if results.dataflow.contexts == 1 else []
        drawn["events"] = events.heat(shown, {row["name"]: row["inputs"] for row in content["events"]}, ordered)
        drawn["reads"] = events.reads(content["events"])
    if len(content["runs"]) > 1:
        drawn["runs"] = events.curve(content["runs"], results.run)
    if content["accountings"]:
        drawn["accountings"] = energy.accountings(content["accountings"]["rows"])
    if content["projected"]:
        drawn["roofline"] = cycles.roofline(content["projected"]["parts"])
    return {name: Markup(div) for name, div in drawn.items()}


def _engine(dataflow: Dataflow) -> dict[str, int]:
    """The engine's cycles for one token: those of all the Linears that share it."""
    return {NAME: sum(block.folding.steps for block in dataflow.members)} if dataflow.members else {}
