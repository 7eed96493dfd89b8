"""C simulation: what every layer of the compiled C++ project computes for given token ids, as integers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.frontend.layers import OperationLayer
from spikegpt_hls.host.errors import HostError
from spikegpt_hls.host.library import library
from spikegpt_hls.quant.format import Ints

#: The environment variable that says where the weights lie.
WEIGHTS = "SPIKEGPT_HLS_WEIGHTS"
#: hls4ml compiles its projects with -O3, which takes half as long again and runs no faster.
FLAGS = ("-O1", "-std=c++11", "-fno-gnu-unique", f'-DWEIGHTS_DIR=getenv("{WEIGHTS}")')


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
        graph.config.trace_output = True
        _compile(graph)
        graph.config.trace_output = False
        graph.write()

    def run(self, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
        """By node name, the integers (tokens, channels) that it computes for each sequence of token ids.

        Sequences run back to back without a reset in between: the first-token mark alone begins each.
        """
        with _weights(self._graph):
            traces = self._trace(token_rows(sequences))
        ends = np.cumsum([len(np.asarray(ids)) for ids in sequences])[:-1]
        return {
            node.name: np.split(_own(node, node.operation.out.integers(traces[node.name], node.name)), ends)
            for node in self._layers
        }

    def _trace(self, rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """hls4ml's ``ModelGraph.trace`` without its recompilation at every call."""
        compiled = self._graph._top_function_lib
        top, _ = self._graph._get_top_function(rows)
        logits = np.zeros(self._layers[-1].operation.n_out)
        outputs = {node.name: np.zeros((len(rows), node.operation.n_out)) for node in self._layers}
        traces = (_Trace * len(self._layers))()
        compiled.allocate_trace_storage(ctypes.c_size_t(rows.itemsize))
        try:
            for token, row in enumerate(rows):
                top(row, logits)
                compiled.collect_trace_output(traces)
                for trace in traces:
                    output = outputs[trace.name.decode()][token]
                    ctypes.memmove(output.ctypes.data, trace.data, output.nbytes)
        finally:
            compiled.free_trace_storage()
        return outputs


def _own(node: OperationLayer, values: Ints) -> Ints:
    """Without the outputs that only fill beats."""
    return values[:, : node.operation.n_out - node.get_attr("padding", 0)]


def simulate(graph: Any, sequences: Sequence[ArrayLike]) -> dict[str, list[Ints]]:
    """Compile once, run once: ``CSimulation(graph).run(sequences)``."""
    return CSimulation(graph).run(sequences)


def _compile(graph: Any) -> None:
    """hls4ml's ``ModelGraph.compile``, but that it takes from the cache what it compiled of the same texts before."""
    graph.write()
    folder, project = Path(graph.config.get_output_dir()), graph.config.get_project_name()
    firmware = folder / "firmware"
    sources = [firmware / f"{project}.cpp", folder / f"{project}_bridge.cpp"]
    read = sorted(path for path in firmware.rglob("*.*") if path.suffix in (".h", ".txt"))
    try:
        graph._top_function_lib = library(sources, FLAGS, read, [folder, firmware / "ap_types"])
    except HostError as error:
        raise ConversionError(f"the C++ project does not compile: {error}") from error


@contextmanager
def _weights(graph: Any) -> Iterator[None]:
    """The C++ reads its weights at the first token, from where the environment says: a library has no place."""
    os.environ[WEIGHTS] = str(Path(graph.config.get_output_dir(), "firmware", "weights").resolve())
    try:
        yield
    finally:
        del os.environ[WEIGHTS]
