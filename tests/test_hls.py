"""ONNX to hls4ml to a C++ project: the graph, its names and forks, its folding, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.folding import default_reuse, fold, legal_factors
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.frontend.handlers import make_node
from spikegpt_hls.hls.frontend.register import register
from spikegpt_hls.hls.vitis.csim import CSimulation
from spikegpt_hls.hls.vitis.synthesis import synthesize
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, BinaryEmbedding, LayerNorm, Linear, Operation, Residual

X = Format(8, 4)
LENGTHS = (7, 1, 20, 3)


class Network:
    """An ONNX graph of our operations with random parameters, and what it computes."""

    def __init__(self) -> None:
        self.nodes, self.initializers = [], []
        self.operations: dict[str, tuple[Operation, list[str], dict[str, np.ndarray]]] = {}
        self._rng = np.random.default_rng(3)

    def add(self, name: str, op: Operation, *streams: str) -> str:
        params = {key: self._param(op, key) for key in op.params}
        names = [f"{name}.{key}" for key in params]
        for tensor, (key, value) in zip(names, params.items(), strict=True):
            real = op.param_format(key).real(value).astype(np.float32)
            self.initializers.append(numpy_helper.from_array(real, tensor))
        self.nodes.append(make_node(op, [*streams, *names], f"{name}.out", name))
        self.operations[name] = (op, list(streams), params)
        return f"{name}.out"

    def _param(self, op: Operation, key: str) -> np.ndarray:
        fmt = op.param_format(key)
        return self._rng.integers(max(fmt.lo, -fmt.hi), fmt.hi + 1, op.param_shape(key))

    def model(self, output: str, nodes: list | None = None) -> ModelProto:
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 5])
        logits = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_model(helper.make_graph(nodes or self.nodes, "g", [ids], [logits], self.initializers))

    def run(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        values = {"ids": ids[None]}
        for name, (op, streams, params) in self.operations.items():
            values[f"{name}.out"] = op(*[values[stream] for stream in streams], **params)
        return {name: values[f"{name}.out"][0] for name in self.operations}


def small(channels: int = 16) -> tuple[Network, ModelProto]:
    """Embedding, a residual branch with a LIF, head: a fork, a join, a state."""
    net = Network()
    x = net.add("emb", BinaryEmbedding(BIT, 16, channels), "ids")
    x = net.add("blocks.0.ln0", LayerNorm(X, channels, BIT, Format(8, 5), Format(8, 5)), x)
    y = net.add("blocks.0.key", Linear(X, channels, channels, X, Format(8, 6)), x)
    s = net.add("blocks.0.lif", LIF.of(channels, X), y)
    x = net.add("blocks.0.res", Residual(X, channels, X), x, s)
    head = Linear(X, channels, 16, X, Format(8, 7))
    return net, net.model(net.add("head", replace(head, out=head.accumulator), x))


def flow_of(tmp_path: Path, **options: object) -> Dataflow:
    return dataflow(convert(small()[1], tmp_path, **options))  # type: ignore[arg-type]


def sequences() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, 16, tokens) for tokens in LENGTHS]


# --- the graph


def test_blocks_are_in_order_and_each_stream_has_one_reader(tmp_path: Path) -> None:
    flow = flow_of(tmp_path, lanes=4)
    assert [block.kind for block in flow.blocks].count("Fork") == 1
    seen = {flow.source}
    for block in flow.blocks:
        assert set(block.inputs) <= seen
        seen |= set(block.outputs)
    readers = [stream for block in flow.blocks for stream in block.inputs]
    assert sorted([*readers, flow.sink]) == sorted(seen)


@pytest.mark.parametrize("backend", ["Vitis", "SpikeRTL"])
def test_both_backends_read_the_same_dataflow(tmp_path: Path, backend: str) -> None:
    flow = flow_of(tmp_path, lanes=4, backend=backend)
    net, _ = small()
    for name, (op, _, params) in net.operations.items():
        block = flow[name.replace(".", "_")]
        assert block.operation == op
        for key, value in params.items():
            np.testing.assert_array_equal(block.params[key], value)


def test_formats_of_streams_are_those_of_their_operations(tmp_path: Path) -> None:
    graph = convert(small()[1], tmp_path)
    for node in graph.get_layers():
        if hasattr(node, "operation"):
            precision, out = node.get_output_variable().type.precision, node.operation.out
            assert (precision.width, precision.fractional, precision.signed) == (out.bits, out.frac, out.signed)


def test_a_join_waits_in_a_fifo_that_holds_what_its_other_path_holds(tmp_path: Path) -> None:
    flow = flow_of(tmp_path, lanes=4)
    x, s = flow["blocks_0_res"].fifo_depths
    assert x >= 5 * 16 // 4, "a Linear may hold four tokens, and one more is under way"
    assert s >= 16 // 4 + 1


def test_a_quantized_initializer_is_read_as_its_quantizer_says(tmp_path: Path) -> None:
    net, model = small()
    node = next(node for node in model.graph.node if node.name == "head")
    constants = {"scale": 2.0**-7, "zero": 0.0, "bits": 8.0}
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    quant = helper.make_node("Quant", [node.input[1], *constants], ["head.quantized"], signed=1, narrow=1)
    node.input[1] = "head.quantized"
    model.graph.node.insert(0, quant)
    head = dataflow(convert(model, tmp_path))["head"]
    np.testing.assert_array_equal(head.params["weight"], net.operations["head"][2]["weight"])


def test_registering_twice_changes_nothing() -> None:
    from hls4ml.model.flow import get_flow

    register()
    before = list(get_flow("convert").optimizers)
    register()
    assert get_flow("convert").optimizers == before
    assert before.count("insert_forks") == 1


def test_a_standard_sigmoid_still_reaches_hls4ml() -> None:
    from hls4ml.converters.onnx_to_hls import layer_handlers

    register()
    node = helper.make_node("Sigmoid", ["x"], ["y"], "s")
    assert layer_handlers["Sigmoid"](node, ["x"], [[1, 1, 4]], None)["activation"] == "sigmoid"


def test_converting_needs_no_torch() -> None:
    code = "import sys, spikegpt_hls.hls.convert as c; c.register(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is refused


def test_a_foreign_node_is_named(tmp_path: Path) -> None:
    _, model = small()
    model.graph.node.append(helper.make_node("Softmax", ["head.out"], ["probabilities"], "the_softmax"))
    model.graph.output[0].name = "probabilities"
    for backend in ("Vitis", "SpikeRTL"):
        with pytest.raises(ConversionError, match=r"the_softmax.*there is no Softmax here: of other nodes"):
            convert(model, tmp_path, backend)


def test_a_layer_without_a_kernel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikegpt_hls.hls.vitis.backend import OperationCall

    register()
    matches = OperationCall.match
    monkeypatch.setattr(OperationCall, "match", lambda self, node: node.class_name != "LIF" and matches(self, node))
    with pytest.raises(ConversionError, match=r"blocks_0_lif.*LIF.*Vitis"):
        convert(small()[1], tmp_path)


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="Abacus"):
        convert(small()[1], tmp_path, "Abacus")


@pytest.mark.parametrize("lanes", [0, 3, 32])
def test_lanes_must_divide_the_channels(tmp_path: Path, lanes: int) -> None:
    with pytest.raises(ConversionError, match=f"{lanes} lanes do not divide the 16 channels of"):
        convert(small()[1], tmp_path, lanes=lanes)


def test_a_reuse_factor_must_divide_and_the_message_says_what_would(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"blocks_0_key \(16 x 16\).*ReuseFactor 7 with 4 lanes.*8, 16"):
        convert(small()[1], tmp_path, lanes=4, reuse_factor=7)
    with pytest.raises(ConversionError, match="no_such_layer"):
        convert(small()[1], tmp_path, lanes=4, reuse_factor={"no_such_layer": 8})


def test_a_parameter_off_its_grid_is_named(tmp_path: Path) -> None:
    _, model = small()
    gain = next(tensor for tensor in model.graph.initializer if tensor.name == "blocks.0.ln0.gain")
    gain.CopyFrom(numpy_helper.from_array(np.full(16, 0.3, np.float32), gain.name))
    with pytest.raises(ConversionError, match=r"node 'blocks\.0\.ln0': its gain is not on the grid"):
        convert(model, tmp_path)


def test_an_accumulator_too_wide_to_be_exact_says_by_how_much(tmp_path: Path) -> None:
    net = Network()
    x = net.add("emb", BinaryEmbedding(BIT, 16, 16), "ids")
    wide = Format(16, 8)
    x = net.add("ln", LayerNorm(wide, 16, BIT, Format(8, 5), Format(8, 5)), x)
    head = Linear(Format(24, 12), 16, 16, wide, Format(16, 8))
    with pytest.raises(ConversionError, match=r"head.*35 bits, 3 too many"):
        convert(net.model(net.add("head", head, x)), tmp_path)


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no ONNX model at .*nothing\.onnx"):
        convert(tmp_path / "nothing.onnx", tmp_path)


# --- folding


@pytest.mark.parametrize("lanes", [1, 2, 8])
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 48), (48, 192), (192, 48), (64, 256)])
def test_legal_factors_fold_into_whole_steps_words_and_beats(inputs: int, outputs: int, lanes: int) -> None:
    op = Linear(X, inputs, outputs, X, X)
    legal = legal_factors(inputs, outputs, lanes)
    for factor in legal:
        simd, pe, word, *_ = fold(op, lanes, factor)
        assert simd * pe * factor == inputs * outputs
        assert outputs % word == word % pe == word % lanes == 0
    for factor in set(range(1, 200)) - set(legal):
        with pytest.raises(ConversionError):
            fold(op, lanes, factor)


def test_the_default_reuse_factor_meets_the_target() -> None:
    op = Linear(X, 64, 256, X, X)
    assert default_reuse(op, 8) == 512
    assert default_reuse(op, 8, target=500) == max(factor for factor in legal_factors(64, 256, 8) if factor <= 500)
    assert default_reuse(op, 8, target=1) == legal_factors(64, 256, 8)[0]


# --- the project

Project = tuple[Network, Any, CSimulation]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    net, model = small()
    graph = convert(model, tmp_path_factory.mktemp("project"), lanes=4, reuse_factor={"head": 8})
    return net, graph, CSimulation(graph)


def test_c_simulation_equals_numpy_in_every_layer(project: Project) -> None:
    net, _, simulation = project
    for _ in range(2):  # the second run begins with the states that the first one left
        computed = simulation.run(sequences())
        for i, ids in enumerate(sequences()):
            for name, expected in net.run(ids).items():
                np.testing.assert_array_equal(computed[name.replace(".", "_")][i], expected, name)


def test_predict_gives_logits_as_reals(project: Project) -> None:
    net, graph, _ = project
    ids = np.random.default_rng(5).integers(0, 16, (3, 7))
    graph.compile()
    expected = np.stack([net.run(row)["head"] for row in ids])
    np.testing.assert_array_equal(graph.predict(ids), net.operations["head"][0].out.real(expected))


def test_the_project_is_what_hls4ml_builds(project: Project) -> None:
    _, graph, _ = project
    folder = Path(graph.config.get_output_dir())
    for name in ("build_prj.tcl", "project.tcl", "build_opt.tcl", "spikegpt_test.cpp", "firmware/nnet_utils/lif.h"):
        assert (folder / name).is_file(), name
    assert "save_layer_output" not in (folder / "firmware" / "spikegpt.cpp").read_text(), "observers do not stay"


def test_the_written_test_bench_compiles_as_hls4ml_asks(project: Project) -> None:
    _, graph, _ = project
    folder = graph.config.get_output_dir()
    command = ["g++", "-std=c++0x", "-fsyntax-only", "-Ifirmware/ap_types", "spikegpt_test.cpp"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_c_simulation_without_a_compiler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = convert(small()[1], tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConversionError, match=r"g\+\+ is needed, and is not on the PATH"):
        CSimulation(graph)


def test_a_project_that_does_not_compile_says_what_the_compiler_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = convert(small()[1], tmp_path)
    write = type(graph).write

    def write_broken(self: Any) -> None:
        write(self)
        (tmp_path / "firmware" / "defines.h").write_text("#error broken on purpose\n")

    monkeypatch.setattr(type(graph), "write", write_broken)
    with pytest.raises(ConversionError, match="broken on purpose"):
        CSimulation(graph)


def test_synthesis_says_why_it_was_not_run(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    report, reason = synthesize(project[1])
    assert report is None
    assert "vitis-run is not on the PATH" in reason


FAKE_VITIS = """#!/bin/sh
mkdir -p spikegpt_prj/solution1/syn/report
echo '<project><solutions><solution name="solution1"/></solutions></project>' > spikegpt_prj/hls.app
cat > spikegpt_prj/solution1/syn/report/spikegpt_csynth.xml <<END
<profile>
<UserAssignments><TargetClockPeriod>5.00</TargetClockPeriod></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><EstimatedClockPeriod>3.65</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><Best-caseLatency>9</Best-caseLatency><Worst-caseLatency>9</Worst-caseLatency>
<Interval-min>5</Interval-min><Interval-max>5</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates><Resources><LUT>1234</LUT></Resources><AvailableResources><LUT>9999</LUT></AvailableResources>
</AreaEstimates>
</profile>
END
"""


def fake_vitis(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = folder / "vitis-run"
    executable.write_text(script)
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_vitis_is_called_where_it_is_and_its_report_read(
    project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    fake_vitis(tmp_path, FAKE_VITIS, monkeypatch)
    report, _ = synthesize(project[1])
    assert report is not None
    assert report["CSynthesisReport"]["LUT"] == "1234"


def test_a_build_that_vitis_fails_says_where_its_log_is(
    project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    fake_vitis(tmp_path, "#!/bin/sh\nexit 3\n", monkeypatch)
    with pytest.raises(ConversionError, match=r"build_stdout\.log"):
        synthesize(project[1])


@pytest.mark.slow  # a trained network's is in rtl_tests/top/test_model.py
@pytest.mark.parametrize(("layers", "channels", "weight_bits", "lanes"), [(2, 48, 4, 2)])
def test_c_simulation_equals_torch_in_every_layer(
    tmp_path: Path, layers: int, channels: int, weight_bits: int, lanes: int
) -> None:
    check_whole_model(tmp_path, layers, channels, weight_bits, lanes)


@pytest.mark.soak
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("weight_bits", [2, 4, 8])
@pytest.mark.parametrize(("layers", "channels"), [(2, 64), (3, 48), (1, 96)])
def test_c_simulation_equals_torch_on_the_full_grid(
    tmp_path: Path, layers: int, channels: int, weight_bits: int, lanes: int
) -> None:
    check_whole_model(tmp_path, layers, channels, weight_bits, lanes)


def check_whole_model(tmp_path: Path, layers: int, channels: int, weight_bits: int, lanes: int) -> None:
    """512 tokens in three sequences of unequal length, back to back."""
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.vectors import trace
    from spikegpt_hls.quant.training.calibrate import random_network

    network = random_network(layers, channels, weight_bits=weight_bits)
    model, _ = export(network, tmp_path)
    rng = np.random.default_rng(5)
    ids = [rng.integers(0, 256, tokens) for tokens in (100, 172, 240)]
    computed = CSimulation(convert(model, tmp_path / "hls", lanes=lanes)).run(ids)
    expected = trace(network, ids)
    assert computed.keys() <= expected.keys()
    for name, values in computed.items():
        np.testing.assert_array_equal(np.concatenate(values), expected[name], name)
