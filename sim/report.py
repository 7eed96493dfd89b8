"""The report: one self-contained page and the same figures as JSON.

Every figure says where it comes from: **measured** in this run, **derived** from measured counts and a cited constant
or an exact model, or **projected** to what was not run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops.lif import LIF
from spikegpt_hls.sim import plots
from spikegpt_hls.sim.actions import trace_of
from spikegpt_hls.sim.cycles import Schedule
from spikegpt_hls.sim.energy import EnergyReport
from spikegpt_hls.sim.errors import SimulationError

RASTER_TOKENS = 256  # drawn at most; the counts are over all of them
TIMELINE_TOKENS = 8


@dataclass(frozen=True)
class Figure:
    """A number with its unit and its provenance: ``measured``, ``derived`` or ``projected``, by what, and how again."""

    label: str
    value: float | int
    unit: str
    provenance: str
    source: str
    command: str

    @property
    def shown(self) -> str:
        if isinstance(self.value, int):
            return f"{self.value:,}"
        return f"{self.value:,.4g}" if abs(self.value) < 1000 else f"{self.value:,.0f}"


@dataclass(frozen=True)
class Results:
    """Everything the page shows; the optional parts appear where they were made."""

    dataflow: Dataflow
    traces: Mapping[str, Ints]  # vectors.npz
    schedule: Schedule
    energy: EnergyReport
    metrics: Mapping[str, Any]  # metrics.json
    cosim: Mapping[str, Any] | None = None  # cosim.json
    resources: Mapping[str, Any] | None = None  # resources.json
    target: str = "verilog"

    @property
    def preset(self) -> str:
        return str(self.metrics["preset"])

    def command(self, goal: str) -> str:
        return f"make {goal} preset={self.preset}" + ("" if goal == "train-qat" else f" target={self.target}")

    @property
    def starts(self) -> list[int]:
        """The first token of each sequence but the first."""
        lengths = self.traces.get("lengths", np.zeros(0, np.int64))
        return [int(start) for start in np.cumsum(lengths)[:-1]]


def write_report(folder: Path, results: Results) -> Path:
    """``folder/report/index.html``, whose path is returned, and ``folder/report.json``; each whole or not at all."""
    content = summary(results)
    page = render(results, content)
    _write(folder / "report" / "index.html", page)
    _write(folder / "report.json", json.dumps(content, indent=1) + "\n")
    return folder / "report" / "index.html"


def summary(results: Results) -> dict[str, Any]:
    """``report.json``."""
    blocks = [_block(results, block) for block in results.dataflow.blocks]
    energy = results.energy
    return {
        "preset": results.preset,
        "target": results.target,
        "figures": {name: asdict(figure) for name, figure in headline(results).items()},
        "blocks": blocks,
        "verification": (results.cosim or {}).get("traces", {}),
        "actions_per_token": energy.by_kind(),
        "energy": {"node": energy.table.node, "source": energy.table.source, "rules": dict(energy.table.rules)},
        "loss_curve": list(results.metrics.get("loss_curve", [])),
        "resources": (results.resources or {}).get("total"),
        "versions": results.metrics.get("versions", {}),
    }


def headline(results: Results) -> dict[str, Figure]:
    """The figures of the page's top, by name."""
    metrics, schedule, energy, cosim = results.metrics, results.schedule, results.energy, results.cosim
    figures: dict[str, Figure] = {}

    def add(name: str, label: str, value: float | int, unit: str, provenance: str, source: str, goal: str) -> None:
        figures[name] = Figure(label, value, unit, provenance, source, results.command(goal))

    validation = f"validation split of {metrics.get('data', 'the text')}"
    for kind in ("integer", "float"):
        label = f"validation loss, {kind} model"
        add(
            f"val_bits_{kind}",
            label,
            metrics[f"val_bits_{kind}"],
            "bits/byte",
            "measured",
            validation,
            "train-qat",
        )
    add("parameters", "parameters", metrics["parameters"], "", "measured", "the checkpoint", "train-qat")
    if cosim:
        runs = f"RTL in Verilator, {cosim['tokens']} tokens in {cosim['sequences']} sequences"
        add("compared", "values compared, RTL = PyTorch", cosim["compared"], "", "measured", runs, "cosim")
        add("mismatches", "mismatches", cosim["mismatches"], "", "measured", runs, "cosim")
        rtl = cosim["cycles_per_token_rtl"]
        add(
            "cycles_per_token_rtl",
            "cycles per token, RTL",
            rtl,
            "cycles",
            "measured",
            f"counters of the {runs}",
            "cosim",
        )
        if "transfers" in cosim:
            beats = cosim["transfers"]
            label = f"beats of {beats['compared']:,} whose RTL cycle the simulator foretold"
            add(
                "transfers_equal", label, beats["equal"], "", "measured", f"cycle simulator against the {runs}", "cosim"
            )
    simulator = f"cycle simulator, {schedule.tokens} tokens"
    per_token = schedule.cycles / schedule.tokens
    add(
        "cycles_per_token_simulated", "cycles per token, simulated", per_token, "cycles", "derived", simulator, "report"
    )
    steady = schedule.cycles_per_token
    add("cycles_per_token_steady", "cycles per token, steady state", steady, "cycles", "derived", simulator, "report")
    add("latency", "first id to its last logit", schedule.latency, "cycles", "derived", simulator, "report")
    counted = f"actions counted over {energy.tokens} tokens x {energy.table.source} ({energy.table.node})"
    for part in ("total", "compute", "memory"):
        value = getattr(energy, f"{part}_pj") / 1e3
        label = "energy per token" if part == "total" else f"of it {part}"
        add(f"energy_{part}", label, value, "nJ", "derived", counted, "report")
    zeros = f"zeros in the traces of {energy.tokens} tokens; this hardware computes them all the same"
    add("macs", "multiply-accumulates per token", int(energy.macs), "", "derived", "the graph", "report")
    share = 100 * energy.skippable_macs / energy.macs if energy.macs else 0.0
    add("skippable_macs", "of the multiplications with a zero input", share, "%", "measured", zeros, "report")
    return figures


def _block(results: Results, block: Block) -> dict[str, Any]:
    """One row of the tables."""
    cycles = results.schedule.block(block.name)
    energy = next(entry for entry in results.energy.blocks if entry.name == block.name)
    return {
        "name": block.name,
        "kind": block.kind,
        "cycles": results.schedule.needed[block.name],
        "latency": cycles.latency,
        "stalls": sum(cycles.input_stalls.values()),
        "fifo_occupancy": list(cycles.occupancy),
        "fifo_depths": list(block.fifo_depths),
        "compute_pj": energy.compute_pj,
        "memory_pj": energy.memory_pj,
        **({"activity": dict(energy.activity)} if energy.activity else {}),
        **({"resources": results.resources["blocks"].get(block.name)} if results.resources else {}),
    }


def potentials(operation: LIF, inputs: Ints, spikes: Ints, starts: list[int]) -> np.ndarray:
    """``h`` of one neuron before its reset, in thresholds; SimulationError where its spikes are not the trace's."""
    up, membrane = operation.membrane.frac - operation.x.frac, 0
    reached = np.empty(len(inputs))
    for token, value in enumerate(np.asarray(inputs, np.int64)):
        membrane = (0 if token in starts else membrane) + (int(value) << up) >> 1
        reached[token] = membrane / operation.threshold
        if (membrane >= operation.threshold) != bool(spikes[token]):
            raise SimulationError(
                f"a membrane at {reached[token]:.4f} thresholds disagrees with the trace at token {token}"
            )
        membrane = 0 if spikes[token] else membrane
    return reached


def pictures(results: Results, content: Mapping[str, Any]) -> dict[str, Markup]:
    """The page's plots by name."""
    lifs = [block for block in results.dataflow.blocks if block.kind == "LIF"]
    own = [block for block in content["blocks"] if block["kind"] != "Fork"]
    starts = [start for start in results.starts if start < RASTER_TOKENS]
    drawn = {
        "cycles": plots.block_cycles(
            {block["name"]: block["cycles"] for block in own},
            results.schedule.cycles_per_token,
        ),
        "timeline": plots.timeline(results.schedule, [block["name"] for block in own], TIMELINE_TOKENS),
        "energy": plots.energy_bars(results.energy),
    }
    if content["loss_curve"]:
        drawn["loss"] = plots.loss_curve(content["loss_curve"], results.metrics.get("steps_float"))
    if lifs:
        spikes = {block.name: np.asarray(results.traces[block.name])[:RASTER_TOKENS] for block in lifs}
        drawn["raster"] = plots.spike_raster(spikes, starts)
        block, neuron = typical_neuron(lifs, spikes)
        operation, inputs = block.operation, trace_of(results.dataflow, results.traces, block.inputs[0])
        assert isinstance(operation, LIF)
        fired = spikes[block.name][:, neuron]
        drawn["membrane"] = plots.membrane(
            potentials(operation, inputs[: len(fired), neuron], fired, starts),
            fired,
            starts,
            f"{plots.short(block.name)}, neuron {neuron}",
        )
    return {name: Markup(div) for name, div in drawn.items()}


def typical_neuron(lifs: list[Block], spikes: Mapping[str, Ints]) -> tuple[Block, int]:
    """The neuron whose firing rate is closest to 15 %, the rate that the paper assumes, so that both states show."""
    best = [(float(np.abs(layer.mean(0) - 0.15).min()), name) for name, layer in spikes.items()]
    name = min(best)[1]
    block = next(block for block in lifs if block.name == name)
    return block, int(np.abs(spikes[name].mean(0) - 0.15).argmin())


SHOWN = ("LIF", "WKV", "LayerNorm")


def verification(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows for the layers with state, the norms and the logits; the other blocks are one row together."""
    rows, others = [], {"name": "all other blocks", "kind": "", "compared": 0, "mismatches": 0}
    for name, trace in content["verification"].items():
        kind = trace.get("kind", "")
        if kind in SHOWN or name == "head" or not kind:
            rows.append({"name": name, "kind": kind, **trace})
        else:
            others["compared"] += trace["compared"]
            others["mismatches"] += trace["mismatches"]
    return rows + [others] * bool(others["compared"])


def render(results: Results, content: Mapping[str, Any]) -> str:
    """The page as text, plotly within it."""
    environment = Environment(
        loader=PackageLoader("spikegpt_hls.sim", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["short"] = plots.short
    return environment.get_template("report.html").render(
        results=results,
        content=content,
        figures=headline(results),
        pictures=pictures(results, content),
        verification=verification(content),
        plotly=Markup(get_plotlyjs()),
        raster_tokens=min(RASTER_TOKENS, results.energy.tokens),
    )


def _write(path: Path, text: str) -> None:
    """A whole file or none: written beside its place and moved there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        raise SimulationError(f"the report cannot be written to {path}: {error.strerror}") from error
