"""A Linear in operations that the tools of others know: ``qonnx-inference-cost`` counts those of a ``MatMul``.

ModelWrapper("model.onnx").transform(LinearToMatMul()).save("model_matmul.onnx")
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from spikegpt_hls.quant.format import ONNX_EXACT_BITS, Format, Ints
from spikegpt_hls.quant.graph import Constants, operations, parameters
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.qonnx_ops import datatype

QUANT = "qonnx.custom_op.general"


class LinearToMatMul(Transformation):
    """Every Linear as ``Quant(MatMul(x, W^T) * 2**-frac)``, of the same values: W are integers, ``frac`` is theirs.

    Sums of more bits than float32 carries are float64. GraphError as in ``quant.graph.check``. What it makes is for
    qonnx: hardware is made of Linears.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        graph, constants = model.graph, Constants(model.graph)
        linears = [(node, operation) for node, operation in operations(graph) if isinstance(operation, Linear)]
        weights = [parameters(node, operation, constants)["weight"] for node, operation in linears]
        for (node, operation), weight in zip(linears, weights, strict=True):
            at = list(graph.node).index(node)
            graph.node.remove(node)
            for place, made in enumerate(_matmul(model, node, operation, weight), at):
                graph.node.insert(place, made)
        read = {tensor for node in graph.node for tensor in node.input} | {value.name for value in graph.output}
        for quant in [node for node in graph.node if node.op_type == "Quant" and node.output[0] not in read]:
            graph.node.remove(quant)  # of a weight
        if QUANT not in model.get_opset_imports():
            model.model.opset_import.append(helper.make_opsetid(QUANT, 1))
        return model, False


def _matmul(model: ModelWrapper, node: NodeProto, operation: Linear, weight: Ints) -> list[NodeProto]:
    """The nodes that stand for one Linear; what they read and write is added to the model."""
    x, out, accumulator = node.input[0], node.output[0], operation.accumulator
    exact = np.float32 if accumulator.bits <= ONNX_EXACT_BITS else np.float64
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(exact))
    batch, tokens = model.get_tensor_shape(x)[:2]

    def constant(name: str, value: object) -> str:
        model.set_initializer(f"{out}.{name}", np.asarray(value, exact))
        return f"{out}.{name}"

    def stream(name: str, channels: int, fmt: Format) -> str:
        model.set_tensor_shape(f"{out}.{name}", [batch, tokens, channels], dtype=kind)
        model.set_tensor_datatype(f"{out}.{name}", datatype(fmt))
        return f"{out}.{name}"

    nodes = []
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [x], [stream("x", operation.n_in, operation.x)], to=kind))
        x = nodes[0].output[0]
    integers = constant("weight", weight.T)
    model.set_tensor_datatype(integers, _of_weights(operation.weight))
    sums = stream("sums", operation.n_out, replace(accumulator, frac=operation.x.frac))
    real = stream("real", operation.n_out, accumulator)
    quant = [
        constant("scale", operation.out.scale),
        constant("zero_point", 0),
        constant("bit_width", operation.out.bits),
    ]
    how = {"signed": int(operation.out.signed), "narrow": 0, "rounding_mode": "ROUND"}
    return [
        *nodes,
        helper.make_node("MatMul", [x, integers], [sums], name=node.name),
        helper.make_node("Mul", [sums, constant("step", operation.weight.scale)], [real]),
        helper.make_node("Quant", [real, *quant], [out], domain=QUANT, **how),
    ]


def _of_weights(fmt: Format) -> BaseDataType:
    """What weights are without their binary point; those of 2 bits are symmetric, too."""
    return DataType["TERNARY"] if fmt.bits == 2 else datatype(replace(fmt, frac=0))
