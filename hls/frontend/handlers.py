"""ONNX handlers: a custom op of our domain becomes the layer of its Operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import NodeProto, helper

from spikegpt_hls.quant.graph import DOMAIN, operation_of
from spikegpt_hls.quant.ops import OPERATIONS, Operation

Handler = Callable[..., dict[str, Any]]


def make_node(op: Operation, inputs: list[str], output: str, name: str) -> NodeProto:
    """The inverse of ``operation_of``. Attributes go in by hand: Linear's ``inputs`` is one of ONNX's own."""
    node = helper.make_node(type(op).__name__, inputs, [output], name, domain=DOMAIN)
    node.attribute.extend(helper.make_attribute(key, value) for key, value in op.attributes().items())
    return node


def parse_operation(node: NodeProto, input_names: list[str], input_shapes: Any, graph: Any) -> dict[str, Any]:
    return {
        "class_name": node.op_type,
        "name": node.name,
        "inputs": list(input_names),
        "outputs": list(node.output),
        "operation": operation_of(node),
    }


def _dispatch(foreign: Handler) -> Handler:
    def handle(node: NodeProto, *args: Any) -> dict[str, Any]:
        return parse_operation(node, *args) if node.domain == DOMAIN else foreign(node, *args)

    return handle


def register_handlers() -> None:
    """hls4ml looks at the op type alone: where it has a handler of its own (Sigmoid), the domain decides."""
    from hls4ml.converters.onnx_to_hls import layer_handlers, register_onnx_layer_handler

    for op_type in OPERATIONS:
        if op_type in layer_handlers:
            layer_handlers[op_type] = _dispatch(layer_handlers[op_type])
        else:
            register_onnx_layer_handler(op_type, parse_operation)
