"""The exported ONNX model as hls4ml can read it: one token per call, clean names, parameters folded.

hls4ml looks nodes up by tensor names, replaces dots in some names only, and needs the shape of every input, so the
graph is written anew: a node's output tensor has the node's name, and its parameters are plain initializers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.handlers import DOMAIN, make_node, operation
from spikegpt_hls.quant.format import ExactnessError
from spikegpt_hls.quant.ops import OPERATIONS, Operation

INPUT = "tokens"


def block_name(name: str) -> str:
    """The name of a node of the ONNX graph everywhere after the conversion: an identifier."""
    return re.sub(r"\W+", "_", name).strip("_")


class _Constants:
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


def per_token(model: ModelProto, target: str) -> ModelProto:
    """The model for one token per call, whose input is the pair (id, first), in names that hls4ml keeps.

    ConversionError names the first node that ``target`` has no implementation for.
    """
    constants = _Constants(model.graph)
    nodes: list[NodeProto] = []
    initializers: list[TensorProto] = []
    infos: list[ValueInfoProto] = []
    streams = {_only_input(model.graph): INPUT}
    taken = {INPUT}
    for node, op in _operations(model.graph, constants, target):
        name = _unique(block_name(node.name or f"{node.op_type}_{len(nodes)}"), taken)
        _check_inputs(node, op)
        params = [f"{name}__{param}" for param in op.params]
        for param, tensor in zip(params, node.input[len(op.streams) :], strict=True):
            if tensor not in constants:
                raise ConversionError(f"input {tensor!r} of node {node.name!r} ({node.op_type}) must be a constant")
            initializers.append(numpy_helper.from_array(constants[tensor], param))
            infos.append(helper.make_tensor_value_info(param, TensorProto.FLOAT, initializers[-1].dims))
        inputs = [_stream(streams, tensor, node) for tensor in node.input[: len(op.streams)]]
        streams[node.output[0]] = name
        nodes.append(make_node(op, [*inputs, *params], name, name))
        infos.append(_info(name, op.n_out))
    return _model(nodes, initializers, infos, _stream(streams, _only_output(model.graph), None))


def _operations(graph: GraphProto, constants: _Constants, target: str) -> Iterator[tuple[NodeProto, Operation]]:
    for node in graph.node:
        if node.domain == DOMAIN and node.op_type in OPERATIONS:
            yield node, operation(node)
        elif node.output[0] not in constants:
            raise ConversionError(f"node {node.name or node.output[0]!r} ({node.op_type}) cannot be built for {target}")


def _check_inputs(node: NodeProto, op: Operation) -> None:
    try:
        op.check_inputs(node.name, len(node.input))
    except ExactnessError as error:
        raise ConversionError(str(error)) from error


def _unique(name: str, taken: set[str]) -> str:
    if name in taken:
        raise ConversionError(f"two nodes of the model are named {name!r}")
    taken.add(name)
    return name


def _stream(streams: dict[str, str], tensor: str, node: NodeProto | None) -> str:
    if tensor not in streams:
        where = "the model's output" if node is None else f"node {node.name!r} ({node.op_type})"
        raise ConversionError(f"{where} reads {tensor!r}, which no operation computes")
    return streams[tensor]


def _only_input(graph: GraphProto) -> str:
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in initializers]
    if len(inputs) != 1:
        raise ConversionError(f"the model must have one input, the token ids, not {len(inputs)}")
    return str(inputs[0])


def _only_output(graph: GraphProto) -> str:
    if len(graph.output) != 1:
        raise ConversionError(f"the model must have one output, the logits, not {len(graph.output)}")
    return str(graph.output[0].name)


def _info(name: str, channels: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, channels])


def _model(
    nodes: list[NodeProto], initializers: list[TensorProto], infos: list[ValueInfoProto], output: str
) -> ModelProto:
    outputs = [info for info in infos if info.name == output]
    inner = [info for info in infos if info.name != output]
    graph = helper.make_graph(nodes, "model", [_info(INPUT, 2)], outputs, initializers, value_info=inner)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)])
