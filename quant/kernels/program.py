"""Operations for one token of every sequence: by compiled kernels, or by their meaning where there is none.

Between two operations that their meaning runs, all others run in one call. What is computed is the meaning's, bit for
bit, whichever of the two does it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.model.kernels import build, plain_everywhere
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.quant.kernels.rows import Row, row
from spikegpt_hls.quant.ops import Operation
from spikegpt_hls.quant.units import Node

WIDTH = 24  # numbers of a row


@dataclass(frozen=True)
class Prepared:
    """A node with its parameters in the form that its kernel, or else its meaning, computes with."""

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    params: Mapping[str, NDArray]
    row: Row | None


def prepare(nodes: Sequence[Node], library: ctypes.CDLL | None) -> list[Prepared]:
    """Without a library, all by their meaning."""
    found = []
    for node in nodes:
        made = row(node.operation, node.params) if library else None
        params = {} if made else node.operation.prepare(node.params)
        found.append(Prepared(node.name, node.operation, node.inputs, params, made))
    return found


def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where ``SPIKEGPT_KERNELS`` says so and, with a warning, where there is no compiler."""
    return None if plain_everywhere() else build.library("float", Path(__file__).parent)


class Program:
    """``nodes`` for ``batch`` sequences: ``run`` takes ids, and brings ``states`` (by node and name) up to date."""

    def __init__(self, nodes: Sequence[Prepared], batch: int, compiled: ctypes.CDLL | None) -> None:
        self.nodes = nodes  # whose parameters the kernels are given by address
        self.ids = np.zeros((batch, 1), np.int64)
        self.streams = {node.name: np.zeros((batch, node.operation.n_out), np.int32) for node in nodes}
        self.out = self.streams[nodes[-1].name]
        initial = [node.operation.initial_state(batch) for node in nodes]
        self.initial = np.concatenate(
            [s.ravel() for state in initial for s in state.values()] or [np.zeros(0, np.int64)]
        )
        self.memory = self.initial.copy()
        self.states = dict(zip((node.name for node in nodes), self._views(initial), strict=True))
        self.parts = [
            part
            for by_kernels, group in groupby(nodes, lambda node: node.row is not None)
            for part in ([self._compiled(list(group), compiled)] if by_kernels else map(self._meaning, group))
        ]

    def run(self) -> None:
        for part in self.parts:
            part()

    def _views(self, initial: Sequence[Mapping[str, Ints]]) -> Iterator[dict[str, Ints]]:
        """Every node's states in ``memory``."""
        start = 0
        for state in initial:
            views = {}
            for name, value in state.items():
                views[name] = self.memory[start : start + value.size].reshape(value.shape)
                start += value.size
            yield views

    def _meaning(self, node: Prepared) -> Callable[[], None]:
        states = self.states[node.name]

        def run() -> None:
            inputs = [
                self.ids if name == "tokens" else self.streams[name][:, None].astype(np.int64) for name in node.inputs
            ]
            out, after = node.operation.run(inputs, node.params, states)
            self.streams[node.name][:] = out[:, 0]
            for name, value in after.items():
                states[name][:] = value

        return run

    def _compiled(self, nodes: Sequence[Prepared], compiled: ctypes.CDLL | None) -> Callable[[], None]:
        assert compiled is not None
        table = np.zeros((len(nodes), WIDTH), np.int64)
        for numbers, node in zip(table, nodes, strict=True):
            filled = self._numbers(node, compiled)
            numbers[: len(filled)] = filled
        function, address = compiled.run, table.ctypes.data
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long], None
        return lambda table=table: function(address, *table.shape)  # type: ignore[misc]

    def _numbers(self, node: Prepared, compiled: ctypes.CDLL) -> list[int]:
        assert node.row is not None
        kernel, params, numbers = node.row
        read = [self.ids if name == "tokens" else self.streams[name] for name in node.inputs]
        arrays = [self.streams[node.name], *read, *params, *self.states[node.name].values()]
        address = ctypes.cast(getattr(compiled, kernel), ctypes.c_void_p).value or 0
        return [address, *(array.ctypes.data for array in arrays), len(self.ids), *numbers]
