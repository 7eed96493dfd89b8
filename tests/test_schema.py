"""Graphs from outside: whatever an attribute or a parameter becomes, it is refused in a sentence, or means one thing.

The changes are made from the schema itself, over one small exported network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.convert import operations as converted
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.export.execute import execute, load
from spikegpt_hls.quant.export.qonnx import export_sequence
from spikegpt_hls.quant.format import ExactnessError, Format, Ints
from spikegpt_hls.quant.graph import DOMAIN, Constants, operation_of, operations, parameters
from spikegpt_hls.quant.operation.schema import Count, Formats, domains
from spikegpt_hls.quant.ops import OPERATIONS, Linear
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.corners import CORNERS
from vitis_kernels import Case, compile_cases, run

IDS = np.array([[3, 0, 15, 7, 7]])
HUGE, INTS = 10**9, AttributeProto.INTS


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    network = random_network(1, 8, seed=2, vocabulary=16)
    return load(export_sequence(network, tmp_path_factory.mktemp("schema"))).model


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    """A spike-driven network's, which has what the canonical one has not."""
    network = random_network(1, 8, seed=2, vocabulary=16, placement="spike-driven")
    return load(export_sequence(network, tmp_path_factory.mktemp("schema"))).model


@pytest.fixture
def graph(exported: ModelProto, driven: ModelProto, kind: str) -> ModelProto:
    """One that has an operation of this kind."""
    return exported if kind in kinds_of(exported) else driven


def copy_of(model: ModelProto) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    return copied


def node_of(model: ModelProto, kind: str) -> NodeProto:
    """The last of its kind: of the Linears the head, whose result nobody reads."""
    return [node for node in model.graph.node if node.domain == DOMAIN and node.op_type == kind][-1]


def kinds_of(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node if node.domain == DOMAIN}


def meaning(model: ModelProto) -> dict[str, Ints]:
    """What the graph computes, by the integer operations alone: every tensor of streams."""
    constants, values = Constants(model.graph), {"tokens": IDS}
    for node, operation in operations(model.graph):
        streams = [values[tensor] for tensor in node.input[: len(operation.streams)]]
        values[node.output[0]] = operation(*streams, **parameters(node, operation, constants))
    return values


@dataclass(frozen=True)
class Changed(Case):
    """The kernel of one node of a graph, with what the graph gives it."""

    given: Any = None

    @classmethod
    def of(cls, model: ModelProto, node: NodeProto) -> Changed:
        operation, values = operation_of(node), meaning(model)
        streams = [values[tensor] for tensor in node.input[: len(operation.streams)]]
        given = [streams], parameters(node, operation, Constants(model.graph))
        return cls(operation, 1, operation.n_in if isinstance(operation, Linear) else 1, given=given)

    @property
    def streams(self) -> list[list[Ints]]:  # type: ignore[override]
        return self.given[0]

    @property
    def params(self) -> dict[str, Ints]:  # type: ignore[override]
        return self.given[1]


# --- attributes


def other_counts(domain: Count, value: int) -> Iterator[Any]:
    yield from (0, -1, domain.least - 1, domain.most + 1, HUGE, 2**40, value + 1, 2 * value, max(1, value // 2))
    yield from (float(value), str(value), [value], [])


def other_formats(domain: Formats, value: Format) -> Iterator[Any]:
    bits, frac, sign = value.bits, value.frac, int(value.signed)
    yield from ([-bits, frac, sign], [0, frac, sign], [HUGE, frac, sign], [bits, HUGE, sign], [bits, -HUGE, sign])
    yield from ([bits, frac, 2], [bits, frac, -1], [bits, frac], [bits, frac, sign, 0], [], bits, 8.0, str(value))
    yield from ([bits + 1, frac, sign], [bits - 1, frac, sign], [bits, frac + 1, sign], [bits, frac - 1, sign])
    yield from ([bits, frac, 1 - sign], [bits, 60, sign], [1, 0, 1], [1, 0, 0])
    yield from ([corner.bits, corner.frac, int(corner.signed)] for corner in domain.corners())


def as_given(value: int | Format) -> int | list[int]:
    return [value.bits, value.frac, int(value.signed)] if isinstance(value, Format) else value


def attribute_changes(model: ModelProto, kind: str) -> Iterator[tuple[str, ModelProto]]:
    """The attribute, and the model in which it is another one, or is missing, or is given twice, or is of no schema."""
    operation = operation_of(node_of(model, kind))
    for name, domain in domains(OPERATIONS[kind]).items():
        value = getattr(operation, name)
        others = [*(other_counts(domain, value) if isinstance(domain, Count) else other_formats(domain, value))]
        others = [other for n, other in enumerate(others) if other != as_given(value) and other not in others[:n]]
        given = name in {attribute.name for attribute in node_of(model, kind).attribute}
        for other in [*others, None] if given else others:
            changed = copy_of(model)
            attributes = node_of(changed, kind).attribute
            kept = [attribute for attribute in attributes if attribute.name != name]
            del attributes[:]
            attributes.extend(kept)
            if other is not None:
                attributes.append(helper.make_attribute(name, other, attr_type=INTS if other == [] else None))
            yield name, changed
        changed = copy_of(model)
        node_of(changed, kind).attribute.extend([helper.make_attribute(name, 1)] * 2)
        yield name, changed
        changed = copy_of(model)
        node_of(changed, kind).attribute.append(helper.make_attribute(f"{name}_", 1))
        yield f"{name}_", changed


def refusal(model: ModelProto) -> str:
    """The one sentence with which the graph is refused, by execution and conversion alike; or nothing."""
    sentences = []
    for enter in (lambda: execute(ModelWrapper(model), IDS), lambda: converted(model)):
        try:
            enter()
        except GraphError as error:
            sentences.append(str(error))
    assert len(sentences) in (0, 2), f"refused by one of two: {sentences}"
    assert len(set(sentences)) < 2
    assert not any("\n" in sentence for sentence in sentences)
    return sentences[0] if sentences else ""


def outcome(model: ModelProto, changed: str, attribute: str) -> bool:
    """Whether it was let in; then QONNX execution computes what NumPy does. Else one sentence names both."""
    refused = refusal(model)
    if refused:
        assert f"'{changed}'" in refused, refused
        assert re.search(rf"\b{attribute}\b", refused), refused
        return False
    got, want = execute(ModelWrapper(model), IDS), meaning(model)
    for node in (node for node in model.graph.node if node.domain == DOMAIN):
        np.testing.assert_array_equal(got[node.name], want[node.output[0]], node.name)
    return True


def test_changed_attributes_are_refused_or_mean_the_same_to_all(
    exported: ModelProto, driven: ModelProto, tmp_path: Path
) -> None:
    changes, accepted = 0, {}
    for kind in sorted(OPERATIONS):
        graph = exported if kind in kinds_of(exported) else driven
        node = node_of(graph, kind).name
        for attribute, model in attribute_changes(graph, kind):
            changes += 1
            if outcome(model, node, attribute):
                accepted.setdefault((kind, attribute), model)
    assert changes >= 200
    assert len(accepted) >= 5
    check_hardware(accepted, tmp_path)


def check_hardware(accepted: dict[tuple[str, str], ModelProto], folder: Path) -> None:
    """One changed graph of each kind converts to RTL, and its changed kernel computes what NumPy does."""
    for model in accepted.values():
        convert(model, folder / "hls", "SpikeRTL", lanes=1)
    cases = [Changed.of(model, node_of(model, kind)) for (kind, _), model in accepted.items()]
    library = compile_cases(cases, folder)
    for index, case in enumerate(cases):
        np.testing.assert_array_equal(run(library, index, case), case.expected(), str(case.op))


# --- parameters and streams


def parameter_changes(model: ModelProto, kind: str) -> Iterator[tuple[str, ModelProto]]:
    """The parameter, and the model in which it has another shape or values, or is no constant, or is missing."""
    operation = operation_of(node_of(model, kind))
    for port, name in enumerate(operation.params, start=len(operation.streams)):
        shape, fmt = operation.param_shape(name), operation.param_format(name)
        fine = np.zeros(shape, np.float32)
        numbers = (np.nan, np.inf, -np.inf, 1e38, -1e38, 0.3 * fmt.scale, (fmt.hi + 1) * fmt.scale)
        if name == "weight":
            numbers = (*numbers, fmt.lo * fmt.scale)  # weights are symmetric
        wrong = [np.full(shape, number, np.float32) for number in numbers]
        shapes = [fine[:-1], fine[..., None], fine.ravel()[0], np.array([], np.float32)]
        for value in [*wrong, *shapes, fine.astype(np.complex64), np.full(shape, "0", object)]:
            changed = copy_of(model)
            tensor = numpy_helper.from_array(np.asarray(value), "changed")
            changed.graph.initializer.append(tensor)
            node_of(changed, kind).input[port] = "changed"
            yield name, changed
        tensor.ClearField("string_data")
        changed.graph.initializer[-1].CopyFrom(tensor)  # says more than it holds
        yield name, copy_of(changed)
        for other in ("nowhere", "", "tokens"):
            changed = copy_of(model)
            node_of(changed, kind).input[port] = other
            yield name, changed
        changed = copy_of(model)
        del node_of(changed, kind).input[port:]
        yield name, changed


@pytest.mark.parametrize("kind", [kind for kind, cls in OPERATIONS.items() if cls.params])
def test_changed_parameters_are_refused(graph: ModelProto, kind: str) -> None:
    for name, model in parameter_changes(graph, kind):
        refused = refusal(model)
        assert f"node '{node_of(graph, kind).name}'" in refused, name
        assert re.search(rf"\b{name}\b", refused), refused


@pytest.mark.parametrize("kind", list(OPERATIONS))
@pytest.mark.parametrize("tensor", ["tokens", "nowhere", "logits", ""])
def test_a_stream_that_nobody_writes_is_refused(graph: ModelProto, kind: str, tensor: str) -> None:
    model = copy_of(graph)
    node = node_of(model, kind)
    node.input[0] = "logits" if tensor == "tokens" and kind == "BinaryEmbedding" else tensor
    stream = OPERATIONS[kind].streams[0]
    assert re.search(rf"node '{node.name}': its {stream} ", refusal(model))


def test_a_stream_that_nobody_reads_is_refused_by_hardware(exported: ModelProto, tmp_path: Path) -> None:
    model = copy_of(exported)
    model.graph.node.append(node_of(model, "BinaryEmbedding"))
    model.graph.node[-1].name, model.graph.node[-1].output[0] = "second", "bits"
    with pytest.raises(GraphError, match="node 'second': nobody reads its out"):
        convert(model, tmp_path)


def test_an_operation_that_there_is_not_is_refused(exported: ModelProto) -> None:
    model = copy_of(exported)
    node_of(model, "Gate").op_type = "Grate"
    assert "there is no operation 'Grate', only BinaryEmbedding, LayerNorm" in refusal(model)


def test_a_state_that_comes_from_elsewhere_is_refused_by_hardware(exported: ModelProto, tmp_path: Path) -> None:
    model = copy_of(exported)
    node = node_of(model, "LIF")
    node.input.append("state")
    node.output.append("after")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 8), np.int64), "state"))
    with pytest.raises(GraphError, match=f"node '{node.name}': its state must be its own"):
        convert(model, tmp_path)


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07\x12garbage")
    with pytest.raises(GraphError, match=r"cut\.onnx' is no ONNX model"):
        convert(tmp_path / "cut.onnx", tmp_path)


# --- the schema


def test_every_corner_is_tested_or_refused_by_a_rule() -> None:
    """``CORNERS`` are what NumPy, torch, QONNX, the C++ kernels and the RTL compute in the tests that share them."""
    left = set()
    for cls in OPERATIONS.values():
        for name, domain in domains(cls).items():
            if isinstance(domain, Formats):
                met = {getattr(op, name) for op in CORNERS if type(op) is cls}
                left |= {(cls.__name__, name, str(corner)) for corner in domain.corners() if corner not in met}
    assert left == {("TokenShift", "mu", "s2.16")}


def test_formats_saturate_whatever_is_beyond_them() -> None:
    for fmt in (Format(8, 4), Format(8, 4, signed=False), Format(25, -8), Format(62, 0)):
        beyond = np.array([np.inf, 1e300, 1e38, 2.0**63, -(2.0**63), -1e38, -np.inf])
        assert fmt.quantize(beyond).tolist() == [fmt.hi] * 4 + [fmt.lo] * 3
        with pytest.raises(ExactnessError, match="no number for a NaN"):
            fmt.quantize(np.array([0, np.nan]))
        for number in (np.inf, -np.inf, np.nan, 1e38, -1e38):
            with pytest.raises(ExactnessError):
                fmt.integers(np.array([number]))


def test_a_format_of_no_bits_or_too_many_is_refused() -> None:
    for bits, frac in ((0, 0), (-8, 4), (HUGE, 4), (8, HUGE), (8, -HUGE)):
        with pytest.raises(ExactnessError, match="is no format"):
            Format(bits, frac)


def documented() -> Iterator[str]:
    """The rows of the table in ``docs/graphs.md``."""
    for kind, cls in OPERATIONS.items():
        for name, domain in domains(cls).items():
            rules = [f"; it must {rule.must}" for rule in cls.rules if rule.attribute == name]
            yield f"| {kind} | `{name}` | {domain}{''.join(rules)} |"


def test_the_docs_say_what_an_attribute_may_be() -> None:
    text = (Path(__file__).parents[1] / "docs" / "graphs.md").read_text()
    table = re.findall(r"^\| \w+ \| `.*$", text, re.MULTILINE)
    assert table == list(documented()), "the table is:\n" + "\n".join(documented())
