"""The ONNX domain of our operations, for qonnx: one ``CustomOp`` per operation, made from its schema.

A node's attributes are the operation's (a ``Format`` as ``[bits, frac, signed]``). Its inputs are the streams, then the
parameters, as real values on their grids (token ids are int64), then, where the graph is stepwise, the states; its
outputs are the output stream, then the states after. States are int64 integers: a WKV numerator does not fit float32.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.custom_op.base import CustomOp

from spikegpt_hls.quant.errors import GraphError, at_node
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.graph import check_ports, is_stateful, name_of, operation_of
from spikegpt_hls.quant.operation.schema import Count, domains
from spikegpt_hls.quant.ops import OPERATIONS, Operation


def datatype(fmt: Format) -> BaseDataType:
    """qonnx's name for the real values of a format, or where it has none, of the next one that holds them: its fixed
    point has a sign, and its integers no grid coarser than 1."""
    if fmt.frac <= 0:
        return DataType[f"{'INT' if fmt.signed else 'UINT'}{fmt.bits - fmt.frac}"]
    bits = fmt.bits + (not fmt.signed)
    return DataType[f"FIXED<{bits},{bits - fmt.frac}>"]


def datatypes(node: NodeProto, operation: Operation) -> dict[str, BaseDataType]:
    """Of every tensor that a node reads or writes."""
    read = [operation.stream_format(name) for name in operation.streams]
    read += [operation.param_format(name) for name in operation.params]
    states = [replace(operation.state_format(name), frac=0) for name in operation.state]  # integers, not real values
    inputs = zip(node.input, [*read, *states], strict=False)
    outputs = zip(node.output, [operation.out, *states], strict=False)
    return {tensor: datatype(fmt) for tensor, fmt in [*inputs, *outputs]}


class IntegerOp(CustomOp):
    """Executes ``operation_of(node)``."""

    def get_nodeattr_types(self) -> dict[str, tuple[str, bool, Any]]:
        operation = OPERATIONS[self.onnx_node.op_type]
        kinds: dict[str, tuple[str, Any]] = {
            name: ("i", 0) if isinstance(domain, Count) else ("ints", []) for name, domain in domains(operation).items()
        }
        needed = {field.name: field.default is MISSING for field in fields(operation)}
        return {name: (kind, needed[name], default) for name, (kind, default) in kinds.items()}

    def make_shape_compatible_op(self, model: Any) -> NodeProto:
        """A ``RandomNormal`` of the right shape: every stream is as long as the graph's first input.

        The shapes of output and states are set at once, because what changes that input (``ChangeBatchSize``,
        ``qonnx-cleanup --override-inpsize``) leaves states, and the length of the graph's output, as they were.
        """
        node, operation = self.onnx_node, operation_of(self.onnx_node)
        batch, tokens = model.get_tensor_shape(model.graph.input[0].name)[:2]
        shape = [batch, tokens, operation.n_out]
        model.set_tensor_shape(node.output[0], shape)
        states = node.input[len(operation.streams) + len(operation.params) :]
        for tensor in [*states, *node.output[1:]]:
            model.set_tensor_shape(tensor, [batch, operation.n_in], dtype=TensorProto.INT64)
        return self.make_const_shape_op(shape)

    def infer_node_datatype(self, model: Any) -> None:
        """That of the format, whatever the inputs are annotated with."""
        types = datatypes(self.onnx_node, operation_of(self.onnx_node))
        for tensor in self.onnx_node.output:
            model.set_tensor_datatype(tensor, types[tensor])

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        node, operation = self.onnx_node, operation_of(self.onnx_node)
        with at_node(name_of(node)):
            check_ports(node, operation)
        values = [context[name] for name in node.input]
        names = (*operation.streams, *operation.params)
        states = dict(zip(operation.state, values[len(names) :], strict=False))
        with at_node(name_of(node)):
            given = {name: operation.integers(name, value) for name, value in zip(names, values, strict=False)}
            streams = [given.pop(name) for name in operation.streams]
            before = operation.initial_state(len(streams[0]))
            for name, value in states.items():
                if np.shape(value) != before[name].shape:
                    raise GraphError(f"its {name} has the shape {np.shape(value)}, not {before[name].shape}")
        before |= {name: np.asarray(value, np.int64) for name, value in states.items()}
        out, after = operation.run(streams, given, before)
        context[node.output[0]] = operation.out.real(out).astype(np.float32)
        if is_stateful(node, operation):
            context.update(zip(node.output[1:], (after[name] for name in operation.state), strict=True))

    def verify_node(self) -> list[str]:
        return []


globals().update({name: type(name, (IntegerOp,), {"__module__": __name__}) for name in OPERATIONS})

__all__ = [*OPERATIONS]
