"""C simulation: what every layer of the compiled C++ project computes for given token ids, as integers."""

from __future__ import annotations

import ctypes
import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.layers import OperationLayer
from spikegpt_hls.quant.format import Ints


class _Trace(ctypes.Structure):
    """hls4ml's ``trace_data``."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def token_rows(sequences: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """What ``ModelGraph.predict`` takes, (tokens, 1, 2): a row ``[id, first]`` per token, sequences back to back."""
    rows = [np.stack([ids, np.arange(len(ids)) == 0], axis=1) for ids in map(np.asarray, sequences)]
    return np.ascontiguousarray(np.concatenate(rows), dtype=np.float64)[:, None]


class CSimulation:
    """The C++ project of a graph, compiled by g++ with every layer's output observable.

    The project that stays on disk is the one without the observers.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._layers = [node for node in graph.get_layers() if isinstance(node, OperationLayer)]
        for node in self._layers:
            node.set_attr("trace", True)
        for library in Path(graph.config.get_output_dir(), "firmware").glob("*.so"):
            library.unlink()  # of an earlier compilation: hls4ml gives each a new name
        graph.config.trace_output = True
        _compile(graph)
        graph.config.trace_output = False
        graph.write()

    def run(self, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
        """By node name, the integers (tokens, channels) that it computes for each sequence of token ids.

        Sequences run back to back without a reset in between: the first-token mark alone begins each.
        """
        traces = self._trace(token_rows(sequences))
        ends = np.cumsum([len(np.asarray(ids)) for ids in sequences])[:-1]
        return {
            node.name: np.split(node.operation.out.integers(traces[node.name], node.name), ends)
            for node in self._layers
        }

    def _trace(self, rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """hls4ml's ``ModelGraph.trace`` without its recompilation at every call."""
        library = self._graph._top_function_lib
        top, _ = self._graph._get_top_function(rows)
        logits = np.zeros(self._layers[-1].operation.n_out)
        outputs = {node.name: np.zeros((len(rows), node.operation.n_out)) for node in self._layers}
        traces = (_Trace * len(self._layers))()
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


def simulate(graph: Any, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
    """Compile once, run once: ``CSimulation(graph).run(sequences)``."""
    return CSimulation(graph).run(sequences)


def _compile(graph: Any) -> None:
    if shutil.which("g++") is None:
        raise ConversionError("C simulation needs g++, which is not on the PATH")
    with redirect_stdout(log := io.StringIO()):  # where hls4ml prints what the compiler said
        try:
            graph.compile()
        except OSError:
            raise
        except Exception as error:  # hls4ml raises nothing more precise
            said = next((line for line in log.getvalue().splitlines() if "error" in line), str(error))
            raise ConversionError(f"the C++ project does not compile: {said}") from error
