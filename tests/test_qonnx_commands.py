"""qonnx's own commands and transformations on exported graphs: both placements, whole sequences and token by token."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model

from spikegpt_hls.quant.export.execute import execute, initial_state, load
from spikegpt_hls.quant.export.matmul import LinearToMatMul
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.graph import DOMAIN, Constants, operations, parameters
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.ops import BIT, BinaryEmbedding, LayerNorm, Linear
from spikegpt_hls.quant.qonnx_ops import datatype
from spikegpt_hls.quant.training.calibrate import random_network

PAGE = Path(__file__).parents[1] / "docs" / "qonnx.md"
CHANNELS, VOCABULARY, SEQUENCES, LENGTH = 16, 64, 3, 5
#: Multiply-accumulates of a token: four C x C in the time mix; C x 4C, C x C and 4C x C in the channel mix; the head.
MACS = (4 + 4 + 1 + 4) * CHANNELS**2 + CHANNELS * VOCABULARY
GRAPHS = ["model.onnx", "model_step.onnx", "model_matmul.onnx"]


@dataclass(frozen=True)
class Exported:
    """A random network's graphs, and what they compute."""

    folder: Path
    weights: str
    ids: NDArray
    network: QuantSpikeGPT

    def real(self, name: str, ids: NDArray) -> NDArray:
        """What a node writes for ids (sequences, tokens)."""
        operation = dict((node.name, op) for node, op in operations(load(self.folder / "model.onnx").graph))[name]
        flat: NDArray = operation.out.real(trace(self.network, list(ids))[name])
        return flat.reshape(*ids.shape, -1)


@pytest.fixture(scope="module", params=[("canonical", 4, "INT4"), ("spike-driven", 2, "TERNARY")], ids=lambda p: p[0])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    placement, bits, weights = request.param
    folder = tmp_path_factory.mktemp(placement)
    network = random_network(1, CHANNELS, seed=3, weight_bits=bits, vocabulary=VOCABULARY, placement=placement)
    export(network, folder)
    load(folder / "model.onnx").transform(LinearToMatMul()).save(str(folder / "model_matmul.onnx"))
    ids = np.random.default_rng(3).integers(0, VOCABULARY, (SEQUENCES, LENGTH))
    np.save(folder / "ids.npy", ids)
    return Exported(folder, weights, ids, network)


def command(name: str, folder: Path, *arguments: str) -> None:
    """One of qonnx's, in a process of its own."""
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("graph", ["model.onnx", "model_matmul.onnx"])
def test_exec_is_the_golden_vectors(exported: Exported, graph: str) -> None:
    """``qonnx-cleanup`` sets the length and the batch, ``qonnx-exec`` another batch; both in ``exec``'s own files."""
    expected, folder = exported.real("head", exported.ids), exported.folder
    command("qonnx-cleanup", folder, graph, "--override-inpsize", f"(1,{LENGTH})", "--out-file", "short.onnx")
    command("qonnx-exec", folder, "short.onnx", "ids.npy", "--output-prefix", "one_", "--output-mode", "tensor_index")
    command("qonnx-exec", folder, "short.onnx", "ids.npy", "--output-prefix", "all_", "--output-mode", "tensor_index",
            "--override-batchsize", str(SEQUENCES))  # fmt: skip
    one = np.concatenate([np.load(folder / f"one_0_batch{n}.npy") for n in range(SEQUENCES)])
    np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(np.load(folder / "all_0_batch0.npy"), expected)


@pytest.mark.parametrize("batch", [1, SEQUENCES])
def test_exec_token_by_token_is_the_golden_vectors(exported: Exported, batch: int) -> None:
    """The states that a call leaves are the files that the next one reads."""
    folder, ids = exported.folder, exported.ids[:batch, :2]
    before = initial_state(load(folder / "model_step.onnx"), batch)
    for name, value in before.items():
        np.save(folder / f"out_{name}.after_batch0.npy", value)
    logits = []
    for token in ids.T:
        np.save(folder / "token.npy", token[:, None])
        states = [f"out_{name}.after_batch0.npy" for name in before]
        command("qonnx-exec", folder, "model_step.onnx", "token.npy", *states, "--override-batchsize", str(batch))
        logits.append(np.load(folder / "out_logits_batch0.npy"))
    np.testing.assert_array_equal(np.concatenate(logits, axis=1), exported.real("head", ids))
    expected = trace(exported.network, list(ids))
    for name in before:
        np.testing.assert_array_equal(np.load(folder / f"out_{name}.after_batch0.npy"), expected[name], name)


@pytest.mark.parametrize("graph", GRAPHS[:2])
def test_datatypes_are_those_of_the_formats(exported: Exported, graph: str) -> None:
    """As exported, and as qonnx infers them when all are gone; a weight's is what qonnx's own ``Quant`` makes it."""
    model, bare = (load(exported.folder / graph) for _ in range(2))
    del bare.graph.quantization_annotation[:]
    bare.save(str(exported.folder / "bare.onnx"))
    script = """
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_datatypes import InferDataTypes
ModelWrapper("bare.onnx").transform(InferDataTypes()).save("inferred.onnx")
"""
    subprocess.run([sys.executable, "-c", script], cwd=exported.folder, check=True)
    inferred, spikes = load(exported.folder / "inferred.onnx"), 0
    for node, operation in operations(model.graph):
        assert model.get_tensor_datatype(node.output[0]) == datatype(operation.out)
        spikes += model.get_tensor_datatype(node.output[0]).name == "BINARY"
        for tensor in node.output:
            assert inferred.get_tensor_datatype(tensor) == model.get_tensor_datatype(tensor), tensor
        for tensor in node.input:
            assert model.get_tensor_datatype(tensor).name != "FLOAT32", tensor
    assert spikes == sum(node.op_type in ("LIF", "BinaryEmbedding") for node in model.graph.node)


@pytest.mark.parametrize("graph", GRAPHS)
def test_tensors_hold_what_their_datatypes_allow(exported: Exported, graph: str) -> None:
    length = 1 if "step" in graph else LENGTH
    model = cleanup_model(load(exported.folder / graph), override_inpsize=(SEQUENCES, length))
    names = [value.name for value in model.graph.input]
    states = initial_state(load(exported.folder / "model_step.onnx"), SEQUENCES) if length == 1 else {}
    given = dict(zip(names, [exported.ids[:, :length], *states.values()], strict=True))
    found = execute_onnx(model, given, return_full_exec_context=True)
    for tensor in {value.tensor_name for value in model.graph.quantization_annotation}:
        fmt = model.get_tensor_datatype(tensor)
        assert np.all(fmt.allowed(found[tensor])), f"{tensor}: {fmt}"


@pytest.mark.parametrize(
    ("fmt", "name"),
    [
        (Format(1, 0, False), "BINARY"),
        (Format(8, 0), "INT8"),
        (Format(8, 0, False), "UINT8"),
        (Format(8, -2), "INT10"),
        (Format(8, 4), "FIXED<8,4>"),
        (Format(8, 10), "FIXED<8,-2>"),
        (Format(8, 8, False), "FIXED<9,1>"),
    ],
    ids=str,
)
def test_a_datatype_holds_its_format(fmt: Format, name: str) -> None:
    found = datatype(fmt)
    assert found.name == name
    assert found == DataType[found.name]
    assert np.all(found.allowed(fmt.real(np.array([fmt.lo, fmt.hi, fmt.lo + 1]))))


@pytest.mark.parametrize("graph", GRAPHS)
def test_shapes_are_inferred_from_nothing(exported: Exported, graph: str) -> None:
    model = load(exported.folder / graph)
    shapes = {tensor: model.get_tensor_shape(tensor) for tensor in model.get_all_tensor_names()}
    del model.graph.value_info[:]
    model = model.transform(InferShapes())
    assert {tensor: model.get_tensor_shape(tensor) for tensor in shapes} == shapes


@pytest.mark.parametrize("graph", GRAPHS)
def test_another_batch_reaches_every_stream_and_state(exported: Exported, graph: str) -> None:
    model = load(exported.folder / graph).transform(ChangeBatchSize(7)).transform(InferShapes())
    streams = [value.name for value in [*model.graph.input, *model.graph.output]]
    streams += [tensor for node in model.graph.node if node.domain == DOMAIN for tensor in node.output]
    assert {model.get_tensor_shape(tensor)[0] for tensor in streams} == {7}


def test_inference_cost_counts_what_the_geometry_says(exported: Exported) -> None:
    command("qonnx-inference-cost", exported.folder, "model_matmul.onnx", "--discount-sparsity=no",
            "--output-json=cost.json", "--cost-breakdown")  # fmt: skip
    cost = json.loads((exported.folder / "cost.json").read_text())
    total, bits = cost["total_cost"], DataType[exported.weights].bitwidth()
    assert total["total_macs"] == 16 * MACS  # of as many tokens as the graph was written for
    assert total[f"mem_w_{exported.weights}"] == total["total_mem_w_elems"] == MACS
    assert total["total_mem_w_bits"] == bits * MACS
    assert len(cost["node_cost"]) == 8
    spikes = 4 * CHANNELS**2 + 5 * CHANNELS**2 if exported.weights == "TERNARY" else 0  # all that a LIF drives
    assert total.get(f"op_mac_BINARY_{exported.weights}", 0) == 16 * spikes


def test_inference_cost_discounts_weights_of_zero(exported: Exported) -> None:
    command("qonnx-inference-cost", exported.folder, "model_matmul.onnx", "--output-json=cost.json")
    total = json.loads((exported.folder / "cost.json").read_text())["total_cost"]
    model = load(exported.folder / "model.onnx")
    linears = [(node, op) for node, op in operations(model.graph) if isinstance(op, Linear)]
    constants = Constants(model.graph)
    nonzero = sum(np.count_nonzero(parameters(node, op, constants)["weight"]) for node, op in linears)
    assert total["total_mem_w_elems"] == nonzero < MACS


def test_sums_beyond_float32_are_exact(tmp_path: Path) -> None:
    """34 bits: float32 would round most of them."""
    rng = np.random.default_rng(5)
    norm = LayerNorm(Format(17, 10), 8, BIT, Format(16, 12), Format(16, 10))
    linear = Linear(Format(25, 16), 8, 5, norm.out, Format(16, 14))
    weight = linear.weight.real(rng.integers(-linear.weight.hi, linear.weight.hi + 1, (5, 8)))
    constants = {
        "table": rng.integers(0, 2, (16, 8)),
        "gain": norm.gain.real(rng.integers(1, norm.gain.hi, 8)),
        "bias": norm.bias.real(rng.integers(norm.bias.lo, norm.bias.hi, 8)),
        "weight": weight,
    }
    nodes = []
    for operation, inputs, out in (
        (BinaryEmbedding(BIT, 16, 8), ["tokens", "table"], "emb"),
        (norm, ["emb", "gain", "bias"], "norm"),
        (linear, ["norm", "weight"], "out"),
    ):
        nodes.append(helper.make_node(type(operation).__name__, inputs, [out], name=out, domain=DOMAIN))
        nodes[-1].attribute.extend(helper.make_attribute(*item) for item in operation.attributes().items())
    shapes = {"tokens": [1, 16], "out": [1, 16, 5]}
    ends = [helper.make_tensor_value_info(name, kind, shapes[name]) for name, kind in (("tokens", 7), ("out", 1))]
    values = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "wide", ends[:1], ends[1:], values)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets)).transform(InferShapes())
    ids = np.arange(16)[None]
    expected = execute(model, ids)["out"]
    found = execute_onnx(model.transform(LinearToMatMul()), {"tokens": ids})["out"]
    np.testing.assert_array_equal(linear.out.integers(found), expected)
    assert np.abs(expected).max() > 2**20


def test_the_page_does_what_it_says(trained: Path, tmp_path: Path) -> None:
    """``docs/qonnx.md`` in the folder of an export; the sequence is as long as it was there."""
    for name in ("model.onnx", "model_step.onnx", "vectors.npz"):
        (tmp_path / name).symlink_to(trained / name)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said: list[str] = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        command = [sys.executable, "-c"] if language == "python" else ["sh", "-ec"]
        command.append(text.replace("(1,85)", f"(1,{said[0]})") if said else text)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        said.append(done.stdout.strip())
    assert said[2] == "True"
    assert len(list(tmp_path.glob("out_LIF_*"))) == 4
    vectors = np.load(trained / "vectors.npz")
    step = load(trained / "model.onnx").get_tensor_datatype("logits").scale_factor()
    np.testing.assert_array_equal(np.load(tmp_path / "out_logits_batch0.npy")[0] / step, vectors["head"][:1])
    assert json.loads((tmp_path / "cost.json").read_text())["total_cost"]["total_macs"] == 16 * (
        2 * 13 * 64**2 + 64 * 256
    )
