"""Every operation alone: NumPy = torch = QONNX execution, in sequence and with explicit state, at corner values too."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from spikegpt_hls.quant import ops
from spikegpt_hls.quant.bridge import run_integers
from spikegpt_hls.quant.format import ExactnessError, Format, Ints
from spikegpt_hls.quant.graph import DOMAIN, operation_of
from spikegpt_hls.rtl_tests.corners import CORNERS, corner_parameters, corner_streams
from spikegpt_hls.sim.report.membrane import potentials

S8, U8 = Format(8, 5), Format(8, 6, signed=False)
CHANNELS = (8, 48, 64, 96)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other


def operations(channels: int, weight_bits: int) -> dict[str, ops.Operation]:
    wide = Format(11, 5)
    return {
        "embedding": ops.BinaryEmbedding(ops.BIT, 50, channels),
        "ln0": ops.LayerNorm(S8, channels, ops.BIT, Format(8, 5), Format(16, 10)),
        "layernorm": ops.LayerNorm(S8, channels, wide, Format(8, 6), Format(16, 10)),
        "token_shift": ops.TokenShift(S8, channels, S8, Format(10, 8)),
        "linear": ops.Linear(S8, channels, 24, S8, Format(weight_bits, weight_bits - 1)),
        "linear_unsigned": ops.Linear(U8, channels, 24, U8, Format(weight_bits, weight_bits)),
        "sigmoid": ops.Sigmoid(Format(8, 8, signed=False), channels, S8),
        "wkv": ops.WKV(Format(10, 7), channels, S8, S8),
        "gate": ops.Gate(Format(8, 4), channels, Format(8, 8, signed=False), Format(10, 7)),
        "lif": ops.LIF.of(channels, Format(8, 4)),
        "lif_unsigned": ops.LIF.of(channels, Format(8, 4, signed=False)),
        "squared_relu": ops.SquaredReLU(Format(8, 4, signed=False), channels, U8),
        "residual": ops.Residual(wide, channels, wide),
        "residual_shifted": ops.Residual(Format(12, 5), channels, wide, Format(8, 3)),
        "residual_rounded": ops.Residual(Format(8, 3), channels, Format(8, 3), U8),
    }


NAMES = list(operations(8, 8))


def draw(rng: np.random.Generator, fmt: Format, shape: tuple[int, ...], narrow: bool = False) -> Ints:
    """Uniform over the format, with a third of the values at its ends."""
    lo = -fmt.hi if narrow else fmt.lo
    values = rng.integers(lo, fmt.hi, shape, endpoint=True)
    return np.where(rng.random(shape) < 1 / 3, rng.choice([lo, fmt.hi], shape), values)


def example(operation: ops.Operation, seed: int, tokens: int = 12) -> tuple[list[Ints], dict[str, Ints]]:
    rng = np.random.default_rng(seed)
    if isinstance(operation, ops.BinaryEmbedding):
        streams = [rng.integers(0, operation.vocabulary, (1, tokens))]
    else:
        streams = [draw(rng, operation.stream_format(n), (1, tokens, operation.n_in)) for n in operation.streams]
    params = {
        name: draw(rng, operation.param_format(name), operation.param_shape(name), narrow=name == "weight")
        for name in operation.params
    }
    return streams, params


def real(operation: ops.Operation, streams: list[Ints], params: dict[str, Ints]) -> tuple[list[NDArray], list[NDArray]]:
    tokens = isinstance(operation, ops.BinaryEmbedding)
    inputs = [
        x if tokens else operation.stream_format(n).real(x).astype(np.float32)
        for n, x in zip(operation.streams, streams, strict=True)
    ]
    return inputs, [operation.param_format(n).real(params[n]).astype(np.float32) for n in operation.params]


def one_node_graph(operation: ops.Operation, params: list[NDArray], stateful: bool) -> ModelWrapper:
    """The operation alone; a second stream reads ``tokens2``."""
    first = isinstance(operation, ops.BinaryEmbedding)
    names = ["tokens", "tokens2"][: len(operation.streams)]
    kind = (TensorProto.INT64, [1, 1]) if first else (TensorProto.FLOAT, [1, 1, operation.n_in])
    inputs = [helper.make_tensor_value_info(n, *kind) for n in names]
    states = [f"node.{name}" for name in operation.state] if stateful else []
    info = [helper.make_tensor_value_info(s, TensorProto.INT64, [1, operation.n_in]) for s in states]
    after = [helper.make_tensor_value_info(f"{s}.after", TensorProto.INT64, [1, operation.n_in]) for s in states]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, operation.n_out])
    node = helper.make_node(
        type(operation).__name__,
        [*names, *operation.params, *states],
        ["out", *(f"{s}.after" for s in states)],
        name="node",
        domain=DOMAIN,
    )
    node.attribute.extend(helper.make_attribute(name, value) for name, value in operation.attributes().items())
    constants = [numpy_helper.from_array(p, n) for n, p in zip(operation.params, params, strict=True)]
    graph = helper.make_graph([node], "one", inputs + info, [out, *after], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    return ModelWrapper(helper.make_model(graph, opset_imports=opsets))


GRID = (
    [(name, 8, 8) for name in NAMES]
    + [("linear", c, b) for c in CHANNELS for b in (2, 4, 8)]
    + [(name, c, 8) for c in (48, 96) for name in ("ln0", "layernorm", "wkv", "lif", "token_shift")]
)


@pytest.mark.parametrize(("name", "channels", "weight_bits"), GRID)
def test_numpy_torch_and_qonnx_agree(name: str, channels: int, weight_bits: int) -> None:
    operation = operations(channels, weight_bits)[name]
    check_agreement(operation, *example(operation, seed=channels + weight_bits))


def check_agreement(operation: ops.Operation, streams: list[Ints], params: dict[str, Ints]) -> None:
    before = operation.initial_state(1)
    expected, after = operation.run(streams, params, before)
    inputs, constants = real(operation, streams, params)
    tensors = [torch.from_numpy(x) for x in inputs]
    weights = {n: torch.from_numpy(p) for n, p in zip(operation.params, constants, strict=True)}

    value, state = run_integers(operation, "node", tensors, weights, {})
    assert np.array_equal(operation.out.integers(value.numpy()), expected)
    assert all(np.array_equal(state[f"node.{n}"].numpy(), after[n]) for n in operation.state)

    extra = {"tokens2": inputs[1]} if len(inputs) == 2 else {}
    got = execute_graph(one_node_graph(operation, constants, stateful=False), inputs[0], extra)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", list(ops.OPERATIONS))
def test_numpy_torch_and_qonnx_agree_at_the_corners_of_the_schema(name: str) -> None:
    for operation in (op for op in CORNERS if type(op).__name__ == name):
        streams = [x[None] for x in corner_streams(operation, 24)]
        params = corner_parameters(operation)
        check_agreement(operation, streams, params)


def execute_graph(model: ModelWrapper, first: NDArray, extra: dict[str, NDArray]) -> Ints:
    for tensor, value in {"tokens": first, **extra}.items():
        element = model.get_tensor_valueinfo(tensor).type.tensor_type.elem_type
        model.set_tensor_shape(tensor, list(value.shape), dtype=element)
    operation = operation_of(model.graph.node[0])
    model.set_tensor_shape("out", [*first.shape[:2], operation.n_out])
    return operation.out.integers(execute_onnx(model, {"tokens": first, **extra})["out"])


@pytest.mark.parametrize("name", ["token_shift", "wkv", "lif"])
def test_qonnx_steps_with_state_equal_the_sequence(name: str) -> None:
    operation = operations(8, 8)[name]
    streams, params = example(operation, seed=3, tokens=40)
    expected, after = operation.run(streams, params, operation.initial_state(1))
    inputs, constants = real(operation, streams, params)
    model = one_node_graph(operation, constants, stateful=True)
    state = {f"node.{n}": s for n, s in operation.initial_state(1).items()}
    for t in range(40):
        step = {n: x[:, t : t + 1] for n, x in zip(("tokens", "tokens2"), inputs, strict=False)}
        result = execute_onnx(model, step | state)
        assert np.array_equal(operation.out.integers(result["out"])[:, 0], expected[:, t])
        state = {n: result[f"{n}.after"] for n in state}
    assert all(np.array_equal(state[f"node.{n}"], after[n]) for n in operation.state)


@pytest.mark.parametrize("name", NAMES)
def test_attributes_rebuild_the_operation(name: str) -> None:
    operation = operations(48, 4)[name]
    attributes = operation.attributes()
    known = {field.name: field.default for field in fields(operation)}
    assert set(attributes) == {name for name, default in known.items() if getattr(operation, name) != default}
    assert type(operation).from_attributes(attributes) == operation
    assert ops.OPERATIONS[type(operation).__name__] is type(operation)


@pytest.mark.parametrize("name", ["token_shift", "wkv", "lif"])
def test_a_sequence_in_two_parts_equals_the_whole(name: str) -> None:
    operation = operations(8, 8)[name]
    streams, params = example(operation, seed=5, tokens=30)
    whole, _ = operation.run(streams, params, operation.initial_state(1))
    first, state = operation.run([s[:, :11] for s in streams], params, operation.initial_state(1))
    second, _ = operation.run([s[:, 11:] for s in streams], params, state)
    assert np.array_equal(np.concatenate([first, second], 1), whole)


def spikes_on(guard_bits: int, op: ops.LIF, x: Ints) -> Ints:
    """As the LIF of the first versions, whose membranes had eight ``guard_bits`` beyond the input's grid."""
    up, threshold = op.membrane.frac - op.x.frac + guard_bits, op.threshold << guard_bits
    membrane, spikes = np.zeros_like(x[:, 0]), np.empty_like(x)
    for t in range(x.shape[1]):
        charge = (membrane + (x[:, t] << up)) >> 1
        spikes[:, t] = charge >= threshold
        membrane = np.where(charge >= threshold, 0, charge)
    return spikes


@pytest.mark.parametrize(
    "fmt",
    [Format(8, 4), Format(8, 0), Format(6, -1), Format(8, 6), Format(8, 4, signed=False), Format(6, -1, signed=False)],
    ids=str,
)
def test_a_finer_membrane_makes_no_other_spike(fmt: Format) -> None:
    """40 guard bits are those of exact arithmetic: a membrane gains one a token."""
    op, rng = ops.LIF.of(200, fmt), np.random.default_rng(0)
    near = np.clip(rng.integers(-1, 3, (200, 40, 200)) << max(fmt.frac, 0), fmt.lo, fmt.hi)  # up to two thresholds
    x = np.where(rng.random(near.shape) < 0.5, near, rng.integers(fmt.lo, fmt.hi, near.shape, endpoint=True))
    spikes = op(x)
    assert 0 < spikes.mean() < 1
    for guard_bits in (1, 4, 8, 40):
        assert np.array_equal(spikes, spikes_on(guard_bits, op, x)), guard_bits


def test_a_graph_with_guard_bits_loads_and_spikes_as_it_did() -> None:
    """Its membrane was an attribute: it is ignored, and what a run of it recorded as membranes is made again."""
    op = ops.LIF.of(8, Format(8, 4))
    graph = one_node_graph(op, [], stateful=False)
    node = graph.graph.node[0]
    assert "membrane" not in {attribute.name for attribute in node.attribute}
    node.attribute.append(helper.make_attribute("membrane", [16, 12, 1]))
    assert operation_of(node) == op
    assert op.membrane == Format(8, 4)
    streams, _ = example(op, seed=1, tokens=200)
    got = execute_graph(graph, op.x.real(streams[0]).astype(np.float32), {})
    assert np.array_equal(got, spikes_on(8, op, streams[0]))


@pytest.mark.parametrize("fmt", [Format(8, 4), Format(8, 1), Format(6, -2), Format(8, 3, signed=False)], ids=str)
def test_a_driven_lif_is_one_that_reads_larger_numbers(fmt: Format) -> None:
    driven, x = ops.LIF.of(50, fmt, drive=2), np.random.default_rng(1).integers(fmt.lo, fmt.hi + 1, (1, 300, 50))
    wide = ops.LIF.of(50, Format(fmt.bits + 2, fmt.frac, fmt.signed))
    assert np.array_equal(driven(x), wide(4 * x))
    currents, spikes = x[0, :, 7], driven(x)[0, :, 7]
    assert np.array_equal(potentials(driven, currents, spikes, [0]) >= 1, spikes == 1)


def test_a_lif_refuses_what_is_not_built() -> None:
    for fmt in (Format(31, 0), Format(30, 0, signed=False), Format(8, 30), Format(8, -23)):  # the widest
        assert ops.LIF.of(4, fmt).x == fmt
    for fmt in (Format(32, 0), Format(31, 0, signed=False), Format(8, 31), Format(8, -24)):
        with pytest.raises(ExactnessError, match=rf"a LIF that reads {fmt} adds in \d+ bits; at most 32 are built"):
            ops.LIF.of(4, fmt)
    with pytest.raises(ExactnessError, match=r"sends spikes of u1.0, not s8.5"):
        ops.LIF(S8, 4, S8)


def test_a_residual_brings_its_second_stream_to_the_first_ones_grid() -> None:
    """Worked out by hand: steps of 1/2 and of 1/8, so that 1, 2 and 3 eighths are a quarter, half and three quarters
    of a step: ties go to the even neighbour."""
    operation = ops.Residual(Format(4, 1), 1, Format(4, 1), Format(6, 3))
    s = np.array([0, 1, 2, 3, 4, 6, 10, -1, -2, -3, -6, 31, -32])
    assert operation(np.zeros((1, 13, 1), np.int64), s.reshape(1, 13, 1)).ravel().tolist() == [
        0, 0, 0, 1, 1, 2, 2, 0, 0, -1, -2, 7, -8,
    ]  # fmt: skip
    assert operation(np.array([[[-3]]]), np.array([[[-31]]])).item() == -8  # -3/2 - 31/8 saturates at -4


def test_a_spike_is_an_attribute_of_no_residual() -> None:
    """Graphs that were exported when there was nothing but spikes keep their meaning, and spikes their graphs."""
    spike, number = ops.Residual(S8, 8, S8), ops.Residual(S8, 8, S8, S8)
    assert spike.attributes() == {"out": [8, 5, 1], "channels": 8, "x": [8, 5, 1]}
    assert ops.Residual.from_attributes(spike.attributes()).s == ops.BIT
    assert number.attributes() == spike.attributes() | {"s": [8, 5, 1]}
