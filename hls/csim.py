"""C simulation: what every layer of the compiled C++ project computes for given token ids, as integers."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.layers import OperationLayer
from spikegpt_hls.quant.format import Ints


class _Trace(ctypes.Structure):
    """hls4ml's ``trace_data``."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def token_rows(sequences: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """What ``ModelGraph.predict`` takes, (tokens, 1, 2): a row ``[id, first]`` per token, sequences back to back."""
    rows = [np.stack([ids, np.arange(len(ids)) == 0], axis=1) for ids in map(np.asarray, sequences)]
    return np.ascontiguousarray(np.concatenate(rows), dtype=np.float64)[:, None]


def compile_traced(graph: Any) -> None:
    """Write and compile the project, every layer's output observable. Needs g++; needed once per graph."""
    for node in _layers(graph):
        node.set_attr("trace", True)
    graph.config.trace_output = True
    with redirect_stdout(log := io.StringIO()):
        try:
            graph.compile()
        except Exception as error:  # hls4ml raises nothing more precise, and prints what the compiler said
            raise ConversionError(f"the C++ project does not compile: {error}\n{log.getvalue()}") from error


def simulate(graph: Any, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
    """By node name, the integers (tokens, channels) that it computes for each sequence of token ids.

    Sequences run back to back without a reset in between: the first-token mark alone begins each.
    """
    if graph._top_function_lib is None or not graph.config.trace_output:
        compile_traced(graph)
    traces = _run(graph, token_rows(sequences))
    ends = np.cumsum([len(np.asarray(ids)) for ids in sequences])[:-1]
    return {
        node.name: np.split(node.operation.out.integers(traces[node.name], node.name), ends) for node in _layers(graph)
    }


def _layers(graph: Any) -> list[OperationLayer]:
    return [node for node in graph.get_layers() if isinstance(node, OperationLayer)]


def _run(graph: Any, rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """hls4ml's ``ModelGraph.trace`` without its recompilation at every call."""
    library, layers = graph._top_function_lib, _layers(graph)
    top, _ = graph._get_top_function(rows)
    logits = np.zeros(layers[-1].operation.n_out)
    outputs = {node.name: np.zeros((len(rows), node.operation.n_out)) for node in layers}
    traces = (_Trace * len(layers))()
    library.allocate_trace_storage(ctypes.c_size_t(rows.itemsize))
    try:
        for token, row in enumerate(rows):
            top(row, logits)
            library.collect_trace_output(traces)
            for trace in traces:
                output = outputs[trace.name.decode()][token]
                ctypes.memmove(output.ctypes.data, trace.data, output.nbytes)
    finally:
        library.free_trace_storage()
    return outputs
