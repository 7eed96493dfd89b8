"""Nodes of others as ours: the Quant, MatMul, Gemm and Relu that Brevitas's layers export.

A matrix and the Quant that reads its sums are one Linear; a Relu between them is the lower end of what the Quant
writes. A Quant behind the graph's input says what comes in, and one that changes no number is none. All that stands
here has the meaning that QONNX gives it, or is refused in a sentence that says what would be right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spikegpt_hls.hls.frontend.handlers import make_node
from spikegpt_hls.quant.errors import GraphError, at_node
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.graph import DOMAIN, Constants, inputs, name_of, operation_of
from spikegpt_hls.quant.ops import BIT, Linear

QUANT = ("Quant", "IntQuant")
FIXED = "Brevitas's Int8WeightPerTensorFixedPoint and Int8ActPerTensorFixedPoint have one"
ROUNDS = ("ROUND", "HALF_EVEN")  # to the nearest, ties to even


def lowered(model: ModelProto) -> ModelProto:
    """The model in our operations alone; GraphError names the first node that has no meaning in them."""
    constants = Constants(model.graph)
    if all(node.domain == DOMAIN or node.output[0] in constants for node in model.graph.node):
        return model
    graph = _Graph(model, constants)
    for node in model.graph.node:
        with at_node(name_of(node)):
            graph.take(node)
    return graph.made()


@dataclass(frozen=True)
class _Sums:
    """A matrix whose sums nobody has read yet; of a Linear, ``out`` is missing."""

    node: str
    x: str
    linear: Linear
    weight: NDArray
    rectified: bool = False


class _Graph:
    """The graph as it is rewritten, node by node."""

    def __init__(self, model: ModelProto, constants: Constants) -> None:
        self._model, self._constants = model, constants
        self._source = next((value.name for value in inputs(model.graph)), None)
        self._drivers = {tensor: node for node in model.graph.node for tensor in node.output}
        outputs = [value.name for value in model.graph.output]
        self._reads = Counter([*outputs, *(tensor for node in model.graph.node for tensor in node.input)])
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []
        self._streams: dict[str, tuple[str, Format]] = {}  # by their old name
        self._sums: dict[str, _Sums] = {}

    def take(self, node: NodeProto) -> None:
        """One more, in topological order."""
        if node.domain == DOMAIN:
            self._ours(node)
        elif node.output[0] in self._constants:
            self._nodes.append(node)
        elif self._is_transposed(node.output[0]):
            pass  # the matrix that reads it turns it over
        elif node.op_type in QUANT:
            self._quant(node)
        elif node.op_type in ("MatMul", "Gemm"):
            self._matrix(node)
        elif node.op_type == "Relu":
            self._relu(node)
        elif node.op_type == "Add":
            self._bias(node)
        else:
            raise GraphError(
                f"there is no {node.op_type} here: of other nodes than this project's own there are Quant, MatMul, "
                "Gemm and Relu, as Brevitas's QuantIdentity, QuantLinear and QuantReLU export them"
            )

    def made(self) -> ModelProto:
        """What came of it."""
        model = ModelProto()
        model.CopyFrom(self._model)
        for value in model.graph.output:
            driver = self._drivers.get(value.name)
            with at_node(name_of(driver) if driver else value.name):
                value.name = self._read(value.name)[0]
        del model.graph.node[:]
        model.graph.node.extend(self._nodes)
        model.graph.initializer.extend(self._weights)
        return model

    def _read(self, tensor: str) -> tuple[str, Format | None]:
        """A stream's name now, and its format where a node says it. Sums that no Quant reads leave as they are."""
        if tensor in self._sums:
            sums = self._sums[tensor]
            if sums.rectified:
                raise GraphError(f"a Quant must read the Relu behind {sums.node!r} (QuantReLU has one)")
            self._finish(tensor, sums.linear.accumulator, tensor)
        return self._streams.get(tensor, (tensor, None))

    def _ours(self, node: NodeProto) -> None:
        operation, copied = operation_of(node), NodeProto()
        copied.CopyFrom(node)
        for port, stream in enumerate(operation.streams[: len(node.input)]):
            copied.input[port], fmt = self._read(node.input[port])
            if fmt is not None and fmt != operation.stream_format(stream):
                raise GraphError(f"its {stream} is {operation.stream_format(stream)}, and what it reads is {fmt}")
        self._nodes.append(copied)
        self._streams[node.output[0]] = node.output[0], operation.out

    def _quant(self, node: NodeProto) -> None:
        tensor, fmt = node.input[0], self._format(node)
        if _attribute(node, "narrow", 0):
            raise GraphError("its range is narrow, which is for weights: narrow = 0 is right")
        if tensor in self._sums:
            self._finish(tensor, fmt, node.output[0])
        elif tensor == self._source:
            self._streams[node.output[0]] = tensor, fmt
        else:
            name, before = self._read(tensor)
            if before is None or not _holds(fmt, before):
                raise GraphError(f"it makes {fmt} of {before or tensor}: a Quant reads a matrix, and no other Quant")
            self._streams[node.output[0]] = name, before

    def _finish(self, tensor: str, out: Format, name: str) -> None:
        """The Linear that writes its sums as ``out``. Behind a Relu none is negative, so a sign says nothing."""
        sums = self._sums[tensor]
        if self._reads[tensor] > 1:
            raise GraphError(f"what {sums.node!r} computes is read {self._reads[tensor]} times: one Quant must read it")
        if sums.rectified and out.signed:
            out = Format(out.bits - 1, out.frac, signed=False)
        weight = f"{sums.node}.weight"
        self._weights.append(numpy_helper.from_array(sums.weight.astype(np.float32), weight))
        self._nodes.append(make_node(replace(sums.linear, out=out), [sums.x, weight], name, sums.node))
        self._streams[name] = name, out
        del self._sums[tensor]

    def _matrix(self, node: NodeProto) -> None:
        x, fmt = self._read(node.input[0])
        if fmt is None:
            raise GraphError("what it reads has no format: a Quant in front of it says one (QuantIdentity)")
        if _attribute(node, "transA", 0) or any(_attribute(node, name, 1.0) != 1.0 for name in ("alpha", "beta")):
            raise GraphError("it must be x W, with alpha and beta 1 and transA 0")
        weight, weight_format = self._weight(node.input[1], bool(_attribute(node, "transB", 0)))
        outputs, channels = weight.shape
        if len(node.input) > 2:
            self._no_bias(node.input[2])
        linear = Linear(BIT, channels, outputs, fmt, weight_format)
        self._sums[node.output[0]] = _Sums(name_of(node), x, linear, weight)

    def _weight(self, tensor: str, transposed: bool) -> tuple[NDArray, Format]:
        """(outputs, inputs); a node reads it as (inputs, outputs), unless it is ``transposed``."""
        node = self._drivers.get(tensor)
        if node is not None and self._is_transposed(tensor):
            return self._weight(node.input[0], not transposed)
        if node is None or node.op_type not in QUANT or tensor not in self._constants:
            raise GraphError("its weight must be a constant behind a Quant, as in Brevitas's QuantLinear")
        with at_node(name_of(node)):
            fmt, weight = self._format(node), self._constants[tensor]
            if weight.ndim != 2:
                raise GraphError(f"a weight is a matrix, and this one has the shape {weight.shape}")
        return weight if transposed else weight.T, fmt

    def _is_transposed(self, tensor: str) -> bool:
        """Whether it is a constant that is turned over."""
        node = self._drivers.get(tensor)
        if node is None or node.op_type != "Transpose" or list(_attribute(node, "perm", [1, 0])) != [1, 0]:
            return False
        return node.input[0] in self._constants or self._is_transposed(node.input[0])

    def _relu(self, node: NodeProto) -> None:
        tensor = node.input[0]
        if tensor in self._sums and self._reads[tensor] == 1:
            self._sums[node.output[0]] = replace(self._sums.pop(tensor), rectified=True)
            return
        name, fmt = self._read(tensor)
        if fmt is None or fmt.signed:
            raise GraphError(f"it reads {fmt or tensor}: a Relu stands between a matrix and its Quant (QuantReLU)")
        self._streams[node.output[0]] = name, fmt

    def _bias(self, node: NodeProto) -> None:
        beside = [tensor for tensor in node.input if tensor not in self._sums]
        if len(beside) != 1 or beside[0] not in self._constants:
            raise GraphError("there is no Add here but that of a bias, which is 0: streams are added by a Residual")
        (tensor,) = set(node.input) - set(beside)
        self._no_bias(beside[0])
        self._sums[node.output[0]] = self._sums.pop(tensor)

    def _no_bias(self, tensor: str) -> None:
        if tensor not in self._constants or np.any(self._constants[tensor]):
            raise GraphError("its bias is not 0, and a Linear has none: bias=False is right")

    def _format(self, node: NodeProto) -> Format:
        """Of a Quant: ``[bits, frac, signed]`` for a scale of ``2**-frac``."""
        scale, zero, bits = (self._number(tensor, what) for tensor, what in zip(node.input[1:], _PARTS, strict=False))
        mantissa, exponent = frexp(scale)
        if mantissa != 0.5:
            raise GraphError(f"its scale is {scale:g}, and must be a power of two ({FIXED})")
        if zero:
            raise GraphError(f"its zero point is {zero:g}, and must be 0 ({FIXED})")
        if bits != int(bits):
            raise GraphError(f"its bit width is {bits:g}, and must be a whole number")
        if (mode := _attribute(node, "rounding_mode", b"ROUND").decode()) not in ROUNDS:
            raise GraphError(f"its rounding mode is {mode}, and must be ROUND, which is half to even")
        return Format(int(bits), 1 - exponent, bool(_attribute(node, "signed", 1)))

    def _number(self, tensor: str, what: str) -> float:
        if tensor not in self._constants:
            raise GraphError(f"its {what} must be a constant, which {tensor!r} is not")
        values: NDArray = np.unique(self._constants[tensor])
        if self._constants[tensor].size > 1 and len(values) > 1:
            raise GraphError(f"its {what} is one per channel, and must be one for the whole tensor ({FIXED})")
        return float(values[0])


_PARTS = ("scale", "zero point", "bit width")


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    found = (helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name)
    return next(found, default)


def _holds(fmt: Format, other: Format) -> bool:
    """Whether every number of ``other`` is one of ``fmt``."""
    finer = fmt.frac - other.frac
    return finer >= 0 and fmt.lo <= other.lo << finer and other.hi << finer <= fmt.hi
