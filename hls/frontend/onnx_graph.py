"""The exported ONNX model as hls4ml can read it: one token per call, clean names, parameters folded.

A token is its id, or the numbers of its channels; behind them comes the mark of a sequence's first one.

hls4ml looks nodes up by tensor names, replaces dots in some names only, and needs the shape of every input, so the
graph is written anew: a node's output tensor has the node's name, and its parameters are plain initializers.
"""

from __future__ import annotations

import math
import re

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.foreign import lowered
from spikegpt_hls.hls.frontend.handlers import make_node
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.graph import (
    DOMAIN,
    Constants,
    inputs,
    is_stateful,
    name_of,
    operations,
    parameters,
    source_of,
)
from spikegpt_hls.quant.ops import Operation

INPUT = "tokens"
#: The graph that ``per_token`` makes.
NAME = "one_token"


def block_name(name: str) -> str:
    """The name of a node of the ONNX graph everywhere after the conversion: an identifier."""
    return re.sub(r"\W+", "_", name).strip("_")


def per_token(model: ModelProto) -> ModelProto:
    """The model for one token per call, whose input is (id, first) or (channels, first), in names that hls4ml keeps.

    A model that is so already stays as it is. ConversionError names the first node that has no meaning
    here, or what is wrong with one.
    """
    if model.graph.name == NAME:
        return model
    try:
        return _rewritten(lowered(model))
    except GraphError as error:
        raise ConversionError(str(error)) from error


def is_ours(model: ModelProto) -> bool:
    """Whether it has a node of our domain."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def _rewritten(model: ModelProto) -> ModelProto:
    constants = Constants(model.graph)
    nodes: list[NodeProto] = []
    initializers: list[TensorProto] = []
    infos: list[ValueInfoProto] = []
    streams = {_only_input(model.graph): INPUT}
    taken = {INPUT}
    for node, op in _buildable(model.graph):
        name = _unique(block_name(node.name or f"{node.op_type}_{len(nodes)}"), taken)
        for param, integers in parameters(node, op, constants).items():
            real = op.param_format(param).real(integers).astype(np.float32)
            initializers.append(numpy_helper.from_array(real, f"{name}__{param}"))
            infos.append(helper.make_tensor_value_info(initializers[-1].name, TensorProto.FLOAT, real.shape))
        read = [streams[tensor] for tensor in node.input[: len(op.streams)]]
        streams[node.output[0]] = name
        nodes.append(make_node(op, [*read, *(f"{name}__{param}" for param in op.params)], name, name))
        infos.append(_info(name, op.n_out))
    output = _only_output(model.graph)
    if output not in streams:
        raise ConversionError(f"the model's output reads {output!r}, which no operation computes")
    width = math.prod(source_of(model.graph).shape) + 1
    return _model(nodes, initializers, [_info(INPUT, width), *infos], streams[output])


def _buildable(graph: GraphProto) -> list[tuple[NodeProto, Operation]]:
    """Every node of ours, where each has a reader and keeps its own state."""
    read = {tensor for node in graph.node for tensor in node.input} | {value.name for value in graph.output}
    found = list(operations(graph))
    for node, operation in found:
        if is_stateful(node, operation):
            raise ConversionError(
                f"node {name_of(node)!r}: its state must be its own, as in a graph of whole sequences"
            )
        if node.output[0] not in read:
            raise ConversionError(f"node {name_of(node)!r}: nobody reads its out")
    return found


def _unique(name: str, taken: set[str]) -> str:
    if name in taken:
        raise ConversionError(f"two nodes of the model are named {name!r}")
    taken.add(name)
    return name


def _only_input(graph: GraphProto) -> str:
    if len(found := inputs(graph)) != 1:
        raise ConversionError(f"the model must have one input, token ids or channels, not {len(found)}")
    return str(found[0].name)


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
    first, *inner = [info for info in infos if info.name != output]
    graph = helper.make_graph(nodes, NAME, [first], outputs, initializers, value_info=inner)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)])
