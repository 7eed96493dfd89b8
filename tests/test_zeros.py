"""zeros=: which Linears follow events, how they are folded, and what a co-simulation says of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from spikegpt_hls.cli.graph.settings import Nothing
from spikegpt_hls.cli.steps import cosim, folding, hls
from spikegpt_hls.cli.steps.folding import Folding
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.convert import operations
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.planning import plan_of
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network

CONSOLE = Console(quiet=True)
SEQUENCES = [np.random.default_rng(3).integers(0, 16, length) for length in (30, 7, 12)]
MATRICES = ("att.key", "att.value", "att.receptance", "att.output", "ffn.key", "ffn.receptance", "ffn.value")


def place(folder: Path, **kind: str) -> Workspace:
    """An exported network of random weights, with vectors, and with events as training would have counted them."""
    network = random_network(1, 16, seed=3, vocabulary=16, **kind)
    golden = trace(network, SEQUENCES)
    export(network, folder)
    lengths = np.array([len(ids) for ids in SEQUENCES])
    np.savez(folder / "vectors.npz", **{**golden, "tokens": np.concatenate(SEQUENCES), "lengths": lengths})
    events = {f"blocks.0.{name}": {"mean": 2.5, "p99": 8} for name in MATRICES}
    (folder / "metrics.json").write_text(json.dumps({"vocabulary": 16, "events_per_token": events}))
    return Workspace(folder, "random")


def built(where: Workspace, **settings: object) -> Dataflow:
    hls.run(where, Folding(**settings), CONSOLE)  # type: ignore[arg-type]
    return Dataflow.from_json(json.loads(where.dataflow.read_text()))


def driven(flow: Dataflow) -> set[str]:
    return {block.name for block in flow.blocks if block.events}


def test_a_spike_driven_network_follows_events_unless_it_is_told_not_to(tmp_path: Path) -> None:
    where = place(tmp_path, placement="spike-driven")
    inside = {n for n, op in operations(where.onnx).items() if isinstance(op, Linear)} - {"head"}
    flow = built(where, multipliers=20)
    assert driven(flow) == inside
    assert plan_of(flow, dict.fromkeys(inside, 2.5)).multipliers <= 20
    layer = yaml.safe_load((where.hls / "folding.yml").read_text())["LayerName"]["blocks_0_ffn_key"]
    key = flow["blocks_0_ffn_key"]
    beats, rows = max(key.beats_in, key.beats_out), key.folding.rows
    assert layer["Events"] == {"mean": 2.5, "p99": 8}
    assert layer["Cycles"] == {"mean": max(2.5 * rows, beats), "p99": max(8 * rows, beats)}
    mine = tmp_path / "mine.yml"
    mine.write_text((where.hls / "folding.yml").read_text())
    assert built(where, folding=str(mine)).to_json() == flow.to_json()
    assert not driven(built(where, multipliers=20, zeros="add"))


def test_a_canonical_network_skips_the_zeros_of_its_squared_relu_where_it_is_told_to(tmp_path: Path) -> None:
    where = place(tmp_path)
    flow = built(where, multipliers=20)
    assert not driven(flow)
    assert driven(built(where, multipliers=20, zeros="skip")) == {"blocks_0_ffn_value"}
    folding.write(flow, tmp_path, {})
    mine = (tmp_path / "folding.yml").rename(tmp_path / "mine.yml")
    assert not driven(built(where, folding=str(mine)))
    text = mine.read_text()
    factor = yaml.safe_load(text)["LayerName"]["blocks_0_ffn_value"]["ReuseFactor"]
    mine.write_text(
        text.replace(f"blocks_0_ffn_value:\n    ReuseFactor: {factor}", "blocks_0_ffn_value:\n    ReuseFactor: 256")
    )
    assert driven(built(where, folding=str(mine), zeros="skip")) == {"blocks_0_ffn_value"}


def test_a_folding_that_events_cannot_have_is_refused(tmp_path: Path) -> None:
    where = place(tmp_path, placement="spike-driven")
    with pytest.raises(ConversionError, match=r"cannot have ReuseFactor 8 with 2 lanes"):
        built(where, lanes=2, reuse=8)


@pytest.mark.parametrize("contexts", [1, 3])
def test_a_co_simulation_counts_the_weights_that_events_read(contexts: int, tmp_path: Path) -> None:
    where = place(tmp_path, placement="spike-driven", hidden="bits")
    flow = built(where, multipliers=20, contexts=contexts)
    cosim.run(where, Nothing(), CONSOLE)
    found, golden = json.loads(where.cosim.read_text()), dict(np.load(where.vectors))
    assert found["mismatches"] == 0
    dense = reads = added = 0
    for name in driven(flow):
        block, fired = flow[name], int(np.count_nonzero(golden[flow[name].inputs[0]]))
        assert sum(found["events"][name]) == fired
        reads += fired * block.folding.rows * block.folding.pe
        added += fired * block.channels_out
        dense += block.channels_in * block.channels_out
    assert found["weight_reads_dense"] == dense == 5 * 16 * 16 + 2 * 16 * 64
    assert found["weight_reads_per_token"] == reads / 49
    assert found["events_share"] == added / 49 / dense
    assert 0 < found["useful"] <= found["busy"] <= 1
