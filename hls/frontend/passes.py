"""Passes that both backends need, and where in hls4ml's flows: parameters into their layers, and a Fork wherever a
stream has several readers, beside those of ``token_graph.py`` and ``settings.py``."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hls4ml.model.flow import get_flow
from hls4ml.model.graph import ModelGraph
from hls4ml.model.layers import Constant, Layer
from hls4ml.model.optimizer import ModelOptimizerPass, register_pass

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.layers import Fork, OperationLayer
from spikegpt_hls.hls.frontend.settings import Settings
from spikegpt_hls.hls.frontend.token_graph import TokenGraphs


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
        for node in [node for node in model.graph.values() if isinstance(node, OperationLayer)]:
            if len(readers[node.outputs[0]]) > 1:
                _fork(model, node, readers[node.outputs[0]])
        return False


def _fork(model: ModelGraph, node: OperationLayer, readers: list[tuple[Layer, int]]) -> None:
    stream = node.outputs[0]
    if stream in model.outputs:
        raise ConversionError(f"the output of {node.name} leaves the model and is read inside it")
    outputs = [f"{stream}_{i}" for i in range(len(readers))]
    for output, (reader, port) in zip(outputs, readers, strict=True):
        reader.inputs[port] = output
    attributes = {"format": node.operation.out, "lanes": node.get_attr("lanes"), "contexts": node.get_attr("contexts")}
    model.insert_node(model.make_node(Fork, f"{node.name}_fork", attributes, [stream], outputs))


def register_passes() -> None:
    """Into hls4ml's flows: what our graphs are before its own passes, and what streams they have after them."""
    for kind in (TokenGraphs, AbsorbParameters, Settings, InsertForks):
        register_pass(kind.name, kind)
    get_flow("parse_qonnx").optimizers[:0] = [TokenGraphs.name, AbsorbParameters.name]
    convert = get_flow("convert").optimizers
    at = convert.index("infer_precision_types")
    convert[at:at] = [Settings.name, InsertForks.name]
