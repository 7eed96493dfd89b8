"""Our layers in hls4ml's Vitis backend: types of the streams, weights, and the templates that call the kernels."""

from __future__ import annotations

from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.flow import get_flow
from hls4ml.model.graph import ModelGraph
from hls4ml.model.layers import Input
from hls4ml.model.optimizer import ModelOptimizerPass
from hls4ml.model.types import NamedType

from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.frontend.layers import LAYERS, Fork, OperationLayer
from spikegpt_hls.hls.vitis.kernels import IMPLEMENTED, SOURCES, Kernel, kernel
from spikegpt_hls.hls.vitis.weights import IntegerWeights

STREAM_DEPTH = 2  # beats: full rate


class HLSBeatType(NamedType):
    """``nnet::beat<precision, lanes>``. hls4ml takes a type whose class begins with HLS for one that is converted."""

    def __init__(self, name: str, precision: Any, lanes: int) -> None:
        super().__init__(name, precision)
        self.lanes = lanes

    def definition_cpp(self) -> str:
        return f"typedef nnet::beat<{self.precision.definition_cpp()}, {self.lanes}> {self.name};\n"


class HLSTokenType(NamedType):
    """``nnet::token<precision>``, the model's input: the first type of all, so it brings the header of the others."""

    def definition_cpp(self) -> str:
        precision = self.precision.definition_cpp()
        return f'#include "nnet_utils/beat.h"\ntypedef nnet::token<{precision}> {self.name};\n'


class KernelWeights(ModelOptimizerPass):
    """Parameters and tables become weight variables, in the kernel's order, before hls4ml converts the types."""

    name = "kernel_weights"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        for node in model.graph.values():
            if isinstance(node, OperationLayer):
                for name, array in _kernel(node).arrays.items():
                    weights = IntegerWeights(name, node.index, array.values, array.bits, array.signed)
                    node.set_attr(name, weights)
        return False


class BeatStreams(ModelOptimizerPass):
    """Streams between our layers carry beats with the first-token mark, and joins wait in FIFOs of our depths."""

    name = "beat_streams"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        if not any(isinstance(node, OperationLayer) for node in model.graph.values()):
            return False
        joins = [block for block in dataflow(model).blocks if block.is_join]
        depths = {stream: depth for join in joins for stream, depth in zip(join.inputs, join.fifo_depths, strict=True)}
        for node in model.graph.values():
            for stream, variable in list(node.variables.items()):
                variable.type = _stream_type(node, variable.type)
                variable.pragma = ("stream", depths.get(stream, STREAM_DEPTH))
                node.set_attr(stream, variable)
        return False


def _stream_type(node: Any, packed: NamedType) -> NamedType:
    if isinstance(node, Input):
        return HLSTokenType(packed.name, packed.precision)
    return HLSBeatType(packed.name, packed.precision, node.get_attr("lanes"))


def _kernel(node: OperationLayer) -> Kernel:
    params, lanes = node.get_attr("params"), node.get_attr("lanes")
    return kernel(node.operation, params, lanes, node.get_attr("reuse_factor", 1), node.index)


class OperationConfig(LayerConfigTemplate):
    def __init__(self) -> None:
        super().__init__([LAYERS[kind] for kind in IMPLEMENTED])

    def format(self, node: OperationLayer) -> str:
        return _kernel(node).config(f"config{node.index}")


class OperationCall(FunctionCallTemplate):
    def __init__(self) -> None:
        super().__init__([LAYERS[kind] for kind in IMPLEMENTED])

    def transform(self, model: ModelGraph, node: OperationLayer) -> bool:
        self.include_header = [f"nnet_utils/{_kernel(node).header}"]
        return super().transform(model, node)  # type: ignore[no-any-return]

    def format(self, node: OperationLayer) -> str:
        streams = [node.get_input_variable(name) for name in node.inputs] + [node.get_output_variable()]
        call = _kernel(node)
        types = ", ".join([stream.type.name for stream in streams] + [f"config{node.index}"])
        arguments = ", ".join([stream.name for stream in streams] + [node.weights[name].name for name in call.arrays])
        return f"nnet::{call.function}<{types}>({arguments});"


class ForkCall(FunctionCallTemplate):
    def __init__(self) -> None:
        super().__init__(Fork, include_header=["nnet_utils/fork.h"])

    def format(self, node: Fork) -> str:
        source = node.get_input_variable()
        outputs = ", ".join(node.get_output_variable(name).name for name in node.outputs)
        return f"nnet::fork<{source.type.name}, {node.get_attr('channels')}>({source.name}, {outputs});"


def register_kernels() -> None:
    """Templates, headers and passes into hls4ml's Vitis backend."""
    backend = get_backend("Vitis")
    for header in sorted(SOURCES.glob("*.h")):
        backend.register_source(header)
    for template in (OperationConfig, OperationCall, ForkCall):
        backend.register_template(template)
    backend.register_pass(KernelWeights.name, KernelWeights)
    backend.register_pass(BeatStreams.name, BeatStreams)
    types = get_flow("vivado:specific_types").optimizers
    at = types.index("vivado:transform_types")
    types[at : at + 1] = [f"vitis:{KernelWeights.name}", types[at], f"vitis:{BeatStreams.name}"]
