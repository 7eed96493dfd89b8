"""The ONNX domain of our operations, for qonnx: one ``CustomOp`` per operation, made from its schema.

A node's attributes are the operation's (a ``Format`` as ``[bits, frac, signed]``). Its inputs are the streams, then the
parameters, as real values on their grids (token ids are int64), then, where the graph is stepwise, the states; its
outputs are the output stream, then the states after. States are int64 integers: a WKV numerator does not fit float32.
"""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.base import CustomOp

from spikegpt_hls.quant.ops import OPERATIONS, Operation

#: The domain is this module's import path: that is how qonnx finds it.
DOMAIN = __name__
#: The attribute that carries a node's name through torch's exporter.
NAME = "node_name"


def operation_of(node: NodeProto) -> Operation:
    """The operation that a node of our domain stands for."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return OPERATIONS[node.op_type].from_attributes(attributes)


def is_stateful(node: NodeProto, operation: Operation) -> bool:
    """Whether the node takes its states as inputs and returns them as further outputs."""
    return len(node.input) > len(operation.streams) + len(operation.params)


class IntegerOp(CustomOp):
    """Executes ``operation_of(node)``."""

    def get_nodeattr_types(self) -> dict[str, tuple[str, bool, Any]]:
        schema = OPERATIONS[self.onnx_node.op_type].__dataclass_fields__
        is_format = {name: "Format" in str(field.type) for name, field in schema.items()}
        needed = {name: field.default is MISSING for name, field in schema.items()}
        return {name: ("ints", needed[name], []) if is_format[name] else ("i", needed[name], 0) for name in schema}

    def make_shape_compatible_op(self, model: Any) -> NodeProto:
        """A ``RandomNormal`` of the right shape; the states after are graph outputs, whose shapes are declared."""
        batch, tokens = model.get_tensor_shape(self.onnx_node.input[0])[:2]
        shape = [batch, tokens, operation_of(self.onnx_node).n_out]
        return helper.make_node("RandomNormal", [], [self.onnx_node.output[0]], shape=shape)

    def infer_node_datatype(self, model: Any) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["FLOAT32"])

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        node, operation = self.onnx_node, operation_of(self.onnx_node)
        operation.check_inputs(node.name, len(node.input))
        values = [context[name] for name in node.input]
        count = len(operation.streams)
        streams = [operation.stream_format(n).integers(values[i], n) for i, n in enumerate(operation.streams)]
        params = {n: operation.param_format(n).integers(values[count + i], n) for i, n in enumerate(operation.params)}
        states = values[count + len(params) :]
        before = operation.initial_state(streams[0].shape[0])
        before |= {name: np.asarray(value, np.int64) for name, value in zip(operation.state, states, strict=False)}
        out, after = operation.run(streams, params, before)
        context[node.output[0]] = operation.out.real(out).astype(np.float32)
        if states:
            context.update(zip(node.output[1:], (after[name] for name in operation.state), strict=True))

    def verify_node(self) -> list[str]:
        return []


globals().update({name: type(name, (IntegerOp,), {"__module__": __name__}) for name in OPERATIONS})

__all__ = [*OPERATIONS]
