"""An ONNX graph of our operations, checked: what executes it and what makes hardware of it both read it through here.

Every refusal is a GraphError that names the node and its attribute, parameter or stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, ValueInfoProto, helper, numpy_helper

from spikegpt_hls.quant.errors import GraphError, at_node
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import OPERATIONS, Operation, Source

#: Of our custom ops: the import path of the module in which qonnx finds them.
DOMAIN = "spikegpt_hls.quant.qonnx_ops"
#: The attribute that carries a node's name through torch's exporter.
NAME = "node_name"
AGAIN = "if another version exported this graph, export it again from its checkpoint"


def name_of(node: NodeProto) -> str:
    """A node's name, or where it has none that of its output."""
    return str(node.name or next(iter(node.output), node.op_type))


def operation_of(node: NodeProto) -> Operation:
    """The operation that a node of our domain stands for."""
    with at_node(name_of(node)):
        if node.op_type not in OPERATIONS:
            raise GraphError(f"there is no operation {node.op_type!r}, only {', '.join(OPERATIONS)}")
        return OPERATIONS[node.op_type].from_attributes(_attributes(node))


def _attributes(node: NodeProto) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.name in found:
            raise GraphError(f"its {attribute.name} is given twice")
        try:
            found[attribute.name] = helper.get_attribute_value(attribute)
        except ValueError as error:
            raise GraphError(f"its {attribute.name} has no value") from error
    found.pop(NAME, None)
    return found


def is_stateful(node: NodeProto, operation: Operation) -> bool:
    """Whether the node takes its states as inputs and returns them as further outputs."""
    return len(node.input) > len(operation.streams) + len(operation.params)


def operations(graph: GraphProto) -> Iterator[tuple[NodeProto, Operation]]:
    """Every node of ours and its operation, in the graph's order: each stream means to its reader what it means to its
    writer."""
    comes_in: dict[str, Source] = {}
    first = next(iter(inputs(graph)), None)
    writers: dict[str, tuple[str, Operation]] = {}
    for node in graph.node:
        if node.domain == DOMAIN:
            operation = operation_of(node)
            with at_node(name_of(node)):
                check_ports(node, operation)
                for stream, tensor in zip(operation.streams, node.input, strict=False):
                    if first is not None and tensor == first.name:
                        _check_source(operation, stream, first, comes_in)
                    else:
                        _check_stream(operation, stream, tensor, writers)
                writers[node.output[0]] = name_of(node), operation
            yield node, operation


def check_ports(node: NodeProto, operation: Operation) -> None:
    """Streams, parameters and, of a step, states; the output and, of a step, the states after."""
    needed = (*operation.streams, *operation.params)
    missing = [name for name, tensor in zip(needed, [*node.input, *[""] * len(needed)], strict=False) if not tensor]
    if missing:
        raise GraphError(f"its {missing[0]} is missing; {AGAIN}")
    states = len(operation.state) if is_stateful(node, operation) else 0
    if len(node.input) != len(needed) + states or len(node.output) != 1 + states:
        raise GraphError(
            f"it has {len(node.input)} inputs and {len(node.output)} outputs, and must have {', '.join(needed)} and "
            f"one output, or with the states of a step {len(operation.state)} more of each; {AGAIN}"
        )


def inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """What comes in, and of a step the states behind it."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def source_of(graph: GraphProto) -> Source:
    """What comes in, as the operations say that read it; GraphError where none does."""
    first = next(iter(inputs(graph)), None)
    for node, operation in operations(graph):
        for stream, tensor in zip(operation.streams, node.input, strict=False):
            if first is not None and tensor == first.name:
                return operation.source(stream)
    raise GraphError("no operation reads the graph's input")


def _check_source(operation: Operation, stream: str, value: ValueInfoProto, known: dict[str, Source]) -> None:
    """All readers of the graph's input say the same of it, and so does its shape, where it has one."""
    source = operation.source(stream)
    if (before := known.setdefault(value.name, source)) != source:
        raise GraphError(f"its {stream} is {source}, and what reads {value.name!r} before it says {before}")
    if value.type.tensor_type.HasField("shape"):
        shape = tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        if len(shape) != 2 + len(source.shape) or shape[2:] not in (source.shape, (0,)):  # 0: of any length
            due = " x ".join(["batch", "tokens", *map(str, source.shape)])
            raise GraphError(f"its {stream} is {source}, so {value.name!r} must be {due}, and has the shape {shape}")


def _check_stream(operation: Operation, stream: str, tensor: str, writers: dict[str, tuple[str, Operation]]) -> None:
    if not operation.stream_shape(stream):
        raise GraphError(f"its {stream} must be the graph's input, not {tensor!r}")
    if tensor not in writers:
        raise GraphError(f"its {stream} reads {tensor!r}, which no operation before it computes")
    name, writer = writers[tensor]
    fmt = operation.stream_format(stream)
    if writer.out != fmt:
        raise GraphError(f"its {stream} is {fmt}, and the out of {name!r}, which it reads, is {writer.out}")
    axis = operation.axes[-1]
    if writer.n_out != operation.n_in:
        raise GraphError(f"its {axis} is {operation.n_in}, and the out of {name!r}, which it reads, has {writer.n_out}")


def parameters(node: NodeProto, operation: Operation, constants: Constants) -> dict[str, Ints]:
    """The operation's parameters as integers."""
    tensors = list(node.input)[len(operation.streams) :]
    with at_node(name_of(node)):
        found = {}
        for name, tensor in zip(operation.params, tensors, strict=False):
            if tensor not in constants:
                raise GraphError(f"its {name} must be a constant, which {tensor!r} is not")
            try:
                real = constants[tensor].astype(np.float64, casting="same_kind")
            except Exception as error:  # protobuf, onnx and qonnx raise what they like
                raise GraphError(f"its {name} cannot be read from {tensor!r} ({error})") from error
            found[name] = operation.integers(name, real)
        return found


def check(graph: GraphProto) -> None:
    """GraphError for the first node whose attributes, streams or parameters are not what they must be."""
    constants = Constants(graph)
    for node, operation in list(operations(graph)):
        parameters(node, operation, constants)


class Constants:
    """The tensors that depend on no input: initializers, Constant nodes, and Quant nodes of constants."""

    def __init__(self, graph: GraphProto) -> None:
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._drivers = {name: node for node in graph.node for name in node.output}

    def __contains__(self, name: str) -> bool:
        if name in self._initializers:
            return True
        node = self._drivers.get(name)
        return node is not None and (node.op_type == "Constant" or self._is_quantized(node))

    def _is_quantized(self, node: NodeProto) -> bool:
        return node.op_type in ("Quant", "IntQuant") and all(name in self for name in node.input)

    def __getitem__(self, name: str) -> NDArray:
        if name in self._initializers:
            return np.asarray(numpy_helper.to_array(self._initializers[name]))
        node = self._drivers[name]
        if node.op_type == "Constant":
            return np.asarray(numpy_helper.to_array(helper.get_attribute_value(node.attribute[0])))
        return _quantized(node, [self[tensor] for tensor in node.input])


def _quantized(node: NodeProto, inputs: list[NDArray]) -> NDArray:
    """What QONNX says that a Quant node of constants evaluates to."""
    from qonnx.custom_op.general.intquant import int_quant

    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    mode = attributes.get("rounding_mode", b"ROUND").decode()
    return np.asarray(int_quant(*inputs, attributes.get("signed", 1), attributes.get("narrow", 0), mode))
