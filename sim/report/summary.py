"""``report.json``: every figure of the page, with its provenance."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.fold.rows import weights_of_row
from spikegpt_hls.sim.energy.firing import count, firing
from spikegpt_hls.sim.report.headline import headline
from spikegpt_hls.sim.report.results import Results

SCHEMA = 1


@cache
def schema() -> dict[str, Any]:
    """The JSON schema that every ``report.json`` keeps to (``schema.json``)."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("schema.json").read_text("utf-8"))
    return found


def summary(results: Results) -> dict[str, Any]:
    """``report.json``, checked against its schema."""
    content: dict[str, Any] = json.loads(json.dumps(_content(results)))  # tuples are arrays there
    Draft202012Validator(schema()).validate(content)
    return content


def _content(results: Results) -> dict[str, Any]:
    blocks = [_block(results, block) for block in results.dataflow.blocks]
    energy = results.energy
    return {
        "schema": SCHEMA,
        "preset": results.preset,
        "target": results.target,
        "figures": {name: asdict(figure) for name, figure in headline(results).items()},
        "blocks": blocks,
        "verification": (results.cosim or {}).get("traces", {}),
        "actions_per_token": energy.by_kind(),
        "energy": {"node": energy.table.node, "source": energy.table.source, "rules": dict(energy.table.rules)},
        "firing": firing(results.dataflow, count(results.dataflow, results.traces, results.lengths)),
        "events": _events(results),
        "runs": list(results.runs),
        "accountings": results.accountings,
        "projected": results.projected,
        "loss_curve": list(results.metrics.get("loss_curve", [])),
        "resources": (results.resources or {}).get("total"),
        "versions": results.metrics.get("versions", {}),
    }


def _events(results: Results) -> list[dict[str, Any]]:
    """Of each Linear that is driven by them: events per token, and the weights that it reads for them."""
    counted = (results.cosim or {}).get("events", {})
    found = []
    for block in results.dataflow.blocks:
        if block.events and block.name in counted:
            counts = counted[block.name]
            mean = sum(counts) / len(counts)
            row = {"name": block.name, "inputs": block.channels_in, "mean": mean, "most": max(counts)}
            weights = block.channels_in * block.channels_out
            found.append({**row, "weights": weights, "reads": mean * weights_of_row(block)})
    return found


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
