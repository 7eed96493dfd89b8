"""A converted model of ours as hls4ml's users call one: token ids (N, T) in, logits (N, T, vocabulary) out."""

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
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.ops import BinaryEmbedding

Reals = NDArray[np.float64]


class Simulation(Protocol):
    """What a backend compiles a model to."""

    def run(self, sequences: Sequence[ArrayLike]) -> Mapping[str, Sequence[Ints]]:
        """By node name, the integers (tokens, channels) that it computes for each sequence of token ids."""


class TokenGraph(ModelGraph):  # type: ignore[misc]
    """hls4ml's ModelGraph of a model that takes a token a call: ``predict`` and ``trace`` take whole sequences."""

    def write(self) -> None:
        check_implemented(self)
        super().write()

    def compile(self) -> None:
        """Vitis: the C++ kernels, by g++. SpikeRTL: the SystemVerilog, by Verilator."""
        check_implemented(self)
        self._simulation = self._simulator()(self)

    def predict(self, x: ArrayLike) -> Reals:
        """Logits (N, T, vocabulary) of token ids (N, T); every sequence begins anew."""
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
        ids = _ids(x, max(op.vocabulary for op in nodes.values() if isinstance(op, BinaryEmbedding)))
        traces = self._simulation.run(list(ids))
        return {name: np.stack([op.out.real(one) for one in traces[name]]) for name, op in nodes.items()}


class TokenGraphs(ModelOptimizerPass):
    """A graph of ours is a TokenGraph of streams, whatever ``io_type`` says, and its input as wide as its ids."""

    name = "token_graphs"

    def __init__(self) -> None:
        pass

    def transform(self, model: ModelGraph) -> bool:
        nodes = [node for node in model.graph.values() if isinstance(node, OperationLayer)]
        if nodes:
            model.__class__ = TokenGraph
            model.config.config["IOType"] = "io_stream"
            widest = max((n.operation.ids for n in nodes if isinstance(n.operation, BinaryEmbedding)), default=None)
            for node in model.graph.values():
                if isinstance(node, Input) and widest is not None:
                    node.get_output_variable().type.precision = precision(widest)
        return False


def check_implemented(graph: Any) -> None:
    """hls4ml drops a node without a template, and says nothing."""
    backend = graph.config.backend
    knows = getattr(backend, "implements", None)
    for node in graph.get_layers():
        implemented = knows(node) if knows else bool(node.get_attr("function_cpp"))
        if not isinstance(node, Input) and not implemented:
            raise ConversionError(f"node {node.name!r} ({node.class_name}) has no implementation in {backend.name}")


def _ids(x: ArrayLike, vocabulary: int) -> Ints:
    """Token ids (N, T), or a ConversionError that says what was given instead."""
    given = np.asarray(x)
    if given.ndim != 2 or not given.size:
        raise ConversionError(f"token ids have the shape (sequences, tokens), not {given.shape}")
    ids = given.astype(np.int64)
    if not np.array_equal(ids, given) or ids.min() < 0 or ids.max() >= vocabulary:
        raise ConversionError(f"token ids are whole numbers from 0 to {vocabulary - 1}")
    return ids
