"""A converted model of ours as hls4ml's users call one: ids (N, T) or channels (N, T, C) in, (N, T, outputs) out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from hls4ml.model.graph import ModelGraph
from hls4ml.model.layers import Input
from hls4ml.model.optimizer import ModelOptimizerPass
from numpy.typing import ArrayLike, NDArray

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.layers import OperationLayer, precision
from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import Operation

Reals = NDArray[np.float64]


class Simulation(Protocol):
    """What a backend compiles a model to."""

    def run(self, sequences: Sequence[ArrayLike]) -> Mapping[str, Sequence[Ints]]:
        """By node name, the integers (tokens, channels) that it computes for each sequence of ids (T,) or of integers
        (T, C)."""


class TokenGraph(ModelGraph):  # type: ignore[misc]
    """hls4ml's ModelGraph of a model that takes a token a call: ``predict`` and ``trace`` take whole sequences.

    ``reads`` is an operation that reads what comes in, and which of its streams that is.
    """

    reads: tuple[Operation, str]

    def write(self) -> None:
        check_implemented(self)
        super().write()

    def compile(self) -> None:
        """Vitis: the C++ kernels, by g++. SpikeRTL: the SystemVerilog, by Verilator."""
        check_implemented(self)
        self._simulation = self._simulator()(self)

    def predict(self, x: ArrayLike) -> Reals:
        """What goes out, (N, T, outputs), for ids (N, T) or real values (N, T, C); every sequence begins anew."""
        return self._run(x)[self.outputs[0]]

    def trace(self, x: ArrayLike) -> tuple[Reals, dict[str, Reals]]:
        """``predict``, and what each layer computed: (N, T, channels) by its name."""
        layers = self._run(x)
        return layers[self.outputs[0]], layers

    def _simulator(self) -> Any:
        from spikegpt_hls.hls.vitis.csim import CSimulation

        return getattr(self.config.backend, "simulation", CSimulation)

    def _run(self, x: ArrayLike) -> dict[str, Reals]:
        if not hasattr(self, "_simulation"):
            raise ConversionError("the model is not compiled: call compile() first")
        nodes = {node.name: node.operation for node in self.get_layers() if isinstance(node, OperationLayer)}
        traces = self._simulation.run(list(_integers(x, *self.reads)))
        return {name: np.stack([op.out.real(one) for one in traces[name]]) for name, op in nodes.items()}


class TokenGraphs(ModelOptimizerPass):
    """A graph of ours is a TokenGraph of streams, whatever ``io_type`` says, and its input as wide as what comes in."""

    name = "token_graphs"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        nodes = [node for node in model.graph.values() if isinstance(node, OperationLayer)]
        if nodes:
            model.__class__ = TokenGraph
            model.config.config["IOType"] = "io_stream"
            model.reads = operation, stream = _reader(model)
            for node in model.graph.values():
                if isinstance(node, Input):
                    node.get_output_variable().type.precision = precision(operation.stream_format(stream))
        return False


def _reader(model: ModelGraph) -> tuple[Operation, str]:
    (source,) = model.inputs
    for node in model.graph.values():
        if isinstance(node, OperationLayer) and source in node.inputs:
            return node.operation, node.operation.streams[node.inputs.index(source)]
    raise ConversionError("no operation reads the model's input")


def check_implemented(graph: Any) -> None:
    """hls4ml drops a node without a template, and says nothing."""
    backend = graph.config.backend
    knows = getattr(backend, "implements", None)
    for node in graph.get_layers():
        implemented = knows(node) if knows else bool(node.get_attr("function_cpp"))
        if not isinstance(node, Input) and not implemented:
            raise ConversionError(f"node {node.name!r} ({node.class_name}) has no implementation in {backend.name}")


def _integers(x: ArrayLike, operation: Operation, stream: str) -> Ints:
    """The integers of ids (N, T) or of channels (N, T, C), or a ConversionError that says what was given instead."""
    given = np.asarray(x)
    if channels := operation.stream_shape(stream):
        if given.ndim != 3 or given.shape[2:] != channels or not given.size:
            raise ConversionError(f"what comes in has the shape (sequences, tokens, {channels[0]}), not {given.shape}")
        try:
            return operation.integers(stream, given)
        except GraphError as error:
            raise ConversionError(f"what comes in is not what the model reads: {error}") from error
    return _ids(given, operation.limits(stream)[1] + 1)


def _ids(given: NDArray[Any], vocabulary: int) -> Ints:
    if given.ndim != 2 or not given.size:
        raise ConversionError(f"token ids have the shape (sequences, tokens), not {given.shape}")
    ids = given.astype(np.int64)
    if not np.array_equal(ids, given) or ids.min() < 0 or ids.max() >= vocabulary:
        raise ConversionError(f"token ids are whole numbers from 0 to {vocabulary - 1}")
    return ids
