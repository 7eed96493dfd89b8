"""The whole model: PyTorch, QONNX, C simulation and RTL agree in every integer, and the cycle simulator in every cycle.

Unequal sequences share one build and follow each other without a reset; ports stall at random, or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.vitis.csim import simulate as c_simulate
from spikegpt_hls.quant.export.execute import execute, execute_step, load
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import Residual
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.top.cosim import Model, Run, compare
from spikegpt_hls.sim.cycles.schedule import simulate

MODELS = ("trained", "random48")
#: LANES and the ReuseFactor of every Linear, both of which divide every layer of tiny; `make test` has smaller models,
#: which have many more (test_cycles.py).
FOLDINGS = ((1, 2048), (8, 256))


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue(request.param))


@pytest.fixture(params=["trained", slow("random48")])
def compiled(request: pytest.FixtureRequest) -> Path:
    """Of what is compiled, the second is three layers and other widths of what the first has."""
    return Path(request.getfixturevalue(request.param))


def vectors(folder: Path) -> tuple[dict[str, Ints], list[Ints]]:
    """PyTorch's traces, and the token sequences that they belong to."""
    with np.load(folder / "vectors.npz", allow_pickle=False) as arrays:
        golden = {name: arrays[name] for name in arrays.files}
    sequences = np.split(golden["tokens"], np.cumsum(golden["lengths"])[:-1])
    assert len(golden["tokens"]) >= 512
    assert len({len(ids) for ids in sequences}) == len(sequences) >= 3
    return golden, sequences


def rtl(folder: Path, work: Path, lanes: int = 2, reuse: int | None = None) -> Model:
    convert(folder / "model.onnx", work, backend="SpikeRTL", lanes=lanes, reuse_factor=reuse).write()
    model = Model(work / "rtl", work / "run")
    model.build(level=1)
    return model


@pytest.mark.parametrize("placement", ["canonical", "spike-driven"])
def test_a_vocabulary_that_lanes_do_not_divide(placement: str, tmp_path: Path) -> None:
    """65 characters in beats of 8 logits: the last beat has seven that are none, and none of them is seen."""
    network = random_network(1, 16, seed=6, vocabulary=65, placement=placement)
    sequences = [np.random.default_rng(n).integers(0, 65, length) for n, length in enumerate((9, 1, 4))]
    golden = trace(network, sequences)
    assert golden["head"].shape == (14, 65)
    export(network, tmp_path)
    found = c_simulate(convert(tmp_path / "model.onnx", tmp_path / "c"), sequences)
    assert_equal({name: np.concatenate(values) for name, values in found.items()}, golden)
    events = ["blocks_0_ffn_key", "blocks_0_ffn_value"] if placement == "spike-driven" else []
    convert(tmp_path / "model.onnx", tmp_path / "hls", "SpikeRTL", lanes=8, events=events).write()
    model = Model(tmp_path / "hls" / "rtl", tmp_path / "run")
    model.build(level=0)
    head = model.dataflow["head"]
    assert (head.channels_out, head.padding) == (72, 7)
    for name, stall in (("flowing", 0), ("stalled", 3)):
        compared = compare(model.run(name, sequences, stall), golden)
        assert (compared.mismatches, compared.traces["head"][0]) == (0, 14 * 65), str(compared.first)
    sampler = {"temperature": 0}
    first = model.generate("writes", sequences[0].tolist(), 1, sampler)
    assert first == [int(golden["head"][8].argmax())]


def assert_equal(found: Mapping[str, Ints], golden: Mapping[str, Ints]) -> None:
    for name, values in found.items():
        assert np.array_equal(values, golden[name]), name


def assert_cycles(run: Run, tokens: int) -> None:
    """Every transfer of every block's output in the very cycle that the simulator says, and the counters with it."""
    schedule, found, start = simulate(run.dataflow, tokens), run.transfers(), run.source_cycles()[0]
    for block in run.dataflow.blocks:
        simulated = schedule.times[block.outputs[0]] - schedule.first
        assert np.array_equal(found[block.name].ravel() - start, simulated), block.name
    assert run.counters["cycles"] == schedule.cycles
    assert run.counters["sink_stalls"] == 0


def test_qonnx_is_pytorch(folder: Path) -> None:
    golden, sequences = vectors(folder)
    runs = [execute(folder / "model.onnx", ids[None]) for ids in sequences]
    assert_equal({name: np.concatenate([run[name][0] for run in runs]) for name in runs[0]}, golden)


def test_stepwise_qonnx_is_pytorch(folder: Path) -> None:
    golden, sequences = vectors(folder)
    model, state = load(folder / "model_step.onnx"), None
    for position, token in enumerate(sequences[0][:24]):
        outputs, state = execute_step(model, int(token), state)
        assert_equal({name: value[0, 0] for name, value in outputs.items()}, {k: v[position] for k, v in golden.items()
                                                                             if k in outputs})  # fmt: skip


def test_c_simulation_is_pytorch(compiled: Path, tmp_path: Path) -> None:
    golden, sequences = vectors(compiled)
    graph = convert(compiled / "model.onnx", tmp_path, backend="Vitis", lanes=2)
    assert_equal({name: np.concatenate(parts) for name, parts in c_simulate(graph, sequences).items()}, golden)


def test_rtl_is_pytorch(compiled: Path, tmp_path: Path) -> None:
    golden, sequences = vectors(compiled)
    model = rtl(compiled, tmp_path)
    flowing, stalled = model.run("flowing", sequences), model.run("stalled", sequences, stall=11)
    for run in (flowing, stalled):
        comparison = compare(run, golden)
        assert comparison.mismatches == 0, comparison.first
        outputs = sum(golden[block.name].size for block in run.dataflow.blocks if block.operation)
        states = sum(value[-1].size for name, value in golden.items() if "." in name)
        assert comparison.compared == outputs + states
        assert run.counters["tokens"] == len(golden["tokens"])
        assert run.counters["spikes"] == {name: int(golden[name].sum()) for name in run.counters["spikes"]}
    assert stalled.counters["sink_stalls"] > 0
    assert_cycles(flowing, len(golden["tokens"]))


def test_a_network_without_neurons_is_pytorch(tmp_path: Path) -> None:
    """Its residuals add numbers, shifted and rounded; nothing spikes, and nothing counts spikes."""
    network = random_network(2, 8, seed=3, vocabulary=16, neurons="none")
    network.blocks[1].att.output.out.quant.log2_range.data.fill_(0)  # 7 fraction bits: finer than the residual stream
    rng = np.random.default_rng(3)
    sequences = [rng.integers(0, 16, length) for length in (30, 7, 12)]
    golden = trace(network, sequences)
    export(network, tmp_path)
    c_graph = convert(tmp_path / "model.onnx", tmp_path / "c", backend="Vitis", lanes=2)
    assert_equal({name: np.concatenate(parts) for name, parts in c_simulate(c_graph, sequences).items()}, golden)
    model = rtl(tmp_path, tmp_path / "rtl")
    flowing, stalled = model.run("flowing", sequences), model.run("stalled", sequences, stall=11)
    for run in (flowing, stalled):
        comparison = compare(run, golden)
        assert comparison.mismatches == 0, comparison.first
        assert comparison.compared > 49 * 8 * len(run.dataflow.blocks) / 2
        assert run.counters["spikes"] == {}
    assert_cycles(flowing, 49)
    formats = {block.operation.s.frac - block.operation.x.frac for block in flowing.dataflow.blocks
               if isinstance(block.operation, Residual)}  # fmt: skip
    assert max(formats) > 0 > min(formats), formats


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "reuse"), FOLDINGS)
def test_the_cycle_simulator_is_exact_under_every_folding(
    trained: Path, tmp_path: Path, lanes: int, reuse: int
) -> None:
    _, sequences = vectors(trained)
    model = rtl(trained, tmp_path, lanes, reuse)
    run = model.run("flowing", [sequences[0][:9], sequences[1][:5]])
    assert_cycles(run, 14)


def test_one_flipped_weight_bit_is_found_and_named(trained: Path, tmp_path: Path) -> None:
    golden, sequences = vectors(trained)
    model = rtl(trained, tmp_path)
    image = model.rtl / "images" / "blocks_0_att_key_weight.hex"
    words = image.read_text().splitlines()
    words[0] = f"{int(words[0], 16) ^ 1 << 6:0{len(words[0])}x}"
    image.write_text("\n".join(words) + "\n")
    expected = {name: value[:20] for name, value in golden.items() if "." not in name}
    comparison = compare(model.run("flipped", [sequences[0][:20]]), expected)
    assert comparison.mismatches > 0
    assert comparison.first is not None
    assert comparison.first.block == "blocks_0_att_key"
    assert comparison.first.channel == 0


def test_rtl_generates_what_the_integer_model_generates(trained: Path, tmp_path: Path) -> None:
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.storage import load_network

    settings: dict[str, Any] = {"seed": 3, "temperature": 0.8, "top_p": 0.9}
    network, _ = load_network(trained / "checkpoint.safetensors")
    expected = list(generate(network, b"The ", 12, Sampler(**settings)))
    assert rtl(trained, tmp_path).generate("generate", list(b"The "), 12, settings) == expected
    assert len(set(expected)) > 1
    shutil.rmtree(tmp_path)
