"""Passes that both backends need, and where in hls4ml's flows: parameters into their layers, and a Fork wherever a
stream has several readers, beside those of ``token_graph.py`` and ``settings.py``."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hls4ml.model.flow import get_flow
from hls4ml.model.graph import ModelGraph
from hls4ml.model.layers import Constant, Input, Layer
from hls4ml.model.optimizer import ModelOptimizerPass, register_pass

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.layers import Fork, OperationLayer
from spikegpt_hls.hls.frontend.settings import Settings
from spikegpt_hls.hls.frontend.token_graph import TokenGraphs
from spikegpt_hls.quant.format import Format


class AbsorbParameters(ModelOptimizerPass):
    """Constant inputs of our layers become integers of the layer, before any pass of hls4ml's can rewrite them."""

    name = "absorb_parameters"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        for node in [node for node in model.graph.values() if isinstance(node, OperationLayer)]:
            op, streams = node.operation, len(node.operation.streams)
            for name, tensor in zip(op.params, node.inputs[streams:], strict=True):
                node.get_attr("params")[name] = _integers(node, name, tensor)
            del node.inputs[streams:]
        for node in [node for node in model.graph.values() if isinstance(node, Constant)]:
            if not node.get_output_nodes():
                model.remove_node(node)
        return False


def _integers(node: OperationLayer, name: str, tensor: str) -> np.ndarray:
    constant = node.get_input_node(tensor)
    if not isinstance(constant, Constant):
        raise ConversionError(f"parameter {name} of {node.name} is not a constant")
    fmt = node.operation.param_format(name)
    integers = node.operation.integers(name, constant.get_attr("value"))
    return integers.astype(np.int8 if fmt.bits <= 7 + fmt.signed else np.int32)  # the large ones are small


class InsertForks(ModelOptimizerPass):
    """One output per reader, as an explicit node, so that C++, RTL and simulator see the same graph."""

    name = "insert_forks"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        readers = defaultdict(list)
        for node in model.graph.values():
            for port, tensor in enumerate(node.inputs):
                readers[tensor].append((node, port))
        if not any(isinstance(node, OperationLayer) for node in model.graph.values()):
            return False
        for node in [node for node in model.graph.values() if isinstance(node, OperationLayer | Input)]:
            if len(readers[node.outputs[0]]) > 1:
                _fork(model, node, readers[node.outputs[0]])
        return False


def _written(model: ModelGraph, node: Layer) -> tuple[int, Format]:
    """Channels and format of what a node writes."""
    if isinstance(node, OperationLayer):
        return node.operation.n_out, node.operation.out
    operation, stream = model.reads
    if not operation.stream_shape(stream):
        raise ConversionError("the token ids are read twice, and go to one embedding alone")
    return operation.n_in, operation.stream_format(stream)


def _fork(model: ModelGraph, node: Layer, readers: list[tuple[Layer, int]]) -> None:
    stream, beside = node.outputs[0], readers[0][0]
    channels, fmt = _written(model, node)
    if stream in model.outputs:
        raise ConversionError(f"the output of {node.name} leaves the model and is read inside it")
    outputs = [f"{stream}_{i}" for i in range(len(readers))]
    for output, (reader, port) in zip(outputs, readers, strict=True):
        reader.inputs[port] = output
    attributes = {
        "channels": channels,
        "format": fmt,
        **{name: beside.get_attr(name) for name in ("lanes", "contexts")},
    }
    model.insert_node(model.make_node(Fork, f"{node.name}_fork", attributes, [stream], outputs))


def register_passes() -> None:
    """Into hls4ml's flows: what our graphs are before its own passes, and what streams they have after them."""
    for kind in (TokenGraphs, AbsorbParameters, Settings, InsertForks):
        register_pass(kind.name, kind)
    get_flow("parse_qonnx").optimizers[:0] = [TokenGraphs.name, AbsorbParameters.name]
    convert = get_flow("convert").optimizers
    at = convert.index("infer_precision_types")
    convert[at:at] = [Settings.name, InsertForks.name]
