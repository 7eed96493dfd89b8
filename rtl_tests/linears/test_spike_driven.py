"""A spike-driven network whose matrices follow events: RTL is PyTorch, and reads a weight for each event and output."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from spikegpt_hls.hls.convert import convert, operations
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.vitis.csim import simulate as c_simulate
from spikegpt_hls.quant.export.execute import execute
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.top.cosim import Model, Run, compare
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.traces import events

SEQUENCES = [np.random.default_rng(3).integers(0, 16, length) for length in (30, 7, 12)]


def network(hidden: str) -> QuantSpikeGPT:
    return random_network(2, 16, seed=3, vocabulary=16, placement="spike-driven", hidden=hidden)


def hostile() -> QuantSpikeGPT:
    """Layer 0: the time mix never fires, the channel mix always. Layer 1: in front of the time mix one channel fires,
    the last; the channel mix never."""
    made = network("bits")
    with torch.no_grad():
        for layer, norm, bias in ((0, "ln1", -4.0), (0, "ln2", 3.0), (1, "ln1", -4.0), (1, "ln2", -4.0)):
            unit = getattr(made.blocks[layer], norm)
            unit.weight.zero_()
            unit.bias.fill_(bias)
        made.blocks[1].ln1.bias[-1] = 3.0
    return made


def check(made: QuantSpikeGPT, folder: Path, contexts: int, stalls: Sequence[int]) -> tuple[Run, dict[str, Ints]]:
    """PyTorch is the ONNX model is the RTL, in every stall pattern; without stalls each transfer is in the simulated
    cycle. The last run, and the events of each token."""
    golden = trace(made, SEQUENCES)
    export(made, folder)
    onnx = folder / "model.onnx"
    runs = [execute(onnx, ids[None]) for ids in SEQUENCES]
    for name in runs[0]:
        assert np.array_equal(np.concatenate([run[name][0] for run in runs]), golden[name]), name
    inside = [name for name, op in operations(onnx).items() if isinstance(op, Linear) and name != "head"]
    convert(onnx, folder / "rtl", "SpikeRTL", lanes=2, events=inside, target_cycles=64, contexts=contexts).write()
    model = Model(folder / "rtl" / "rtl", folder / "run")
    model.build(level=0)
    for stall in stalls:
        run = model.run(f"stalled_{stall}", SEQUENCES, stall)
        comparison = compare(run, golden)
        assert comparison.mismatches == 0, comparison.first
        counts = events(run.dataflow, golden)
        reads = {block: int(count.sum()) * run.dataflow[block].channels_out for block, count in counts.items()}
        assert run.counters["weight_reads"] == reads
        if not stall:
            ordered = {block: count[run.order.row] for block, count in counts.items()}  # type: ignore[union-attr]
            schedule, moved, start = simulate(run.dataflow, 49, events=ordered), run.transfers(), run.source_cycles()[0]
            for block in run.dataflow.blocks:
                simulated = schedule.times[block.outputs[0]] - schedule.first
                assert np.array_equal(moved[block.name].ravel() - start, simulated), block.name
    return run, counts


@pytest.mark.parametrize(("hidden", "contexts"), [("squared-relu", 1), slow("bits", 1), ("bits", 4)])
def test_rtl_is_pytorch(tmp_path: Path, hidden: str, contexts: int) -> None:
    run, counts = check(network(hidden), tmp_path, contexts, (0, 11))
    whole = 49 * sum(run.dataflow[block].channels_in for block in counts)
    assert 0 < sum(int(count.sum()) for count in counts.values()) < whole
    with pytest.raises(SimulationError, match="events of each token in blocks_0_att_"):
        simulate(run.dataflow, 49)


def test_silence_and_uproar_in_a_whole_model(tmp_path: Path) -> None:
    _, counts = check(hostile(), tmp_path, 2, (0, 11, 12))
    later = np.setdiff1d(np.arange(49), [0, 30, 37])  # tokens: the first of a text shifts silence in
    for name, count in {"0_att_key": 0, "0_ffn_key": 16, "1_att_key": 1, "1_ffn_key": 0}.items():
        assert set(counts[f"blocks_{name}"][later].tolist()) == {count}, name


@pytest.mark.parametrize("hidden", ["squared-relu", slow("bits")])
def test_c_simulation_is_pytorch(tmp_path: Path, hidden: str) -> None:
    driven = network(hidden)
    golden = trace(driven, SEQUENCES)
    export(driven, tmp_path)
    graph = convert(tmp_path / "model.onnx", tmp_path / "c", lanes=2)
    for name, parts in c_simulate(graph, SEQUENCES).items():
        assert np.array_equal(np.concatenate(parts), golden[name]), name


def test_only_a_linear_is_driven_by_events(tmp_path: Path) -> None:
    export(network("bits"), tmp_path)
    with pytest.raises(ConversionError, match="no Linear is named 'blocks_0_ln1', to be driven by events"):
        convert(tmp_path / "model.onnx", tmp_path / "rtl", "SpikeRTL", lanes=2, events=["blocks_0_ln1"])
