"""The dataflow of a converted ModelGraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hls4ml.model.layers import Input

from spikegpt_hls.hls.dataflow import XC7_MULTIPLIER, Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.engine import share
from spikegpt_hls.hls.fold.fifos import fifo_depths
from spikegpt_hls.hls.fold.ring import PLACES, SPATIAL, folded
from spikegpt_hls.hls.fold.rows import BUS, CHIP, outside
from spikegpt_hls.hls.frontend.layers import Fork, OperationLayer
from spikegpt_hls.quant.format import Ints


def dataflow(graph: Any) -> Dataflow:
    """Blocks in topological order, with lanes, reuse factors, multipliers, who shares the engine, and the FIFO depths
    of joins filled in."""
    nodes = [node for node in graph.get_layers() if not isinstance(node, Input)]
    blocks = share(map(_block, nodes), [node.name for node in nodes if node.get_attr("engine")])
    depths = fifo_depths(blocks)
    multiplier = tuple(graph.config.get_config_value("Multiplier", XC7_MULTIPLIER))
    sized = tuple(replace(b, fifo_depths=depths.get(b.name, ()), multiplier=multiplier) for b in blocks)
    made = Dataflow(sized, graph.inputs[0], graph.outputs[0])
    if graph.config.get_config_value("Depth", SPATIAL) != SPATIAL:
        made = folded(made, graph.config.get_config_value("Places", PLACES))
    if graph.config.get_config_value("Weights", CHIP) == CHIP:
        return made
    return outside(made, graph.config.get_config_value("Batch", 1), graph.config.get_config_value("Bus", BUS))


class _Widened(Mapping[str, Ints]):
    """Parameters as 64-bit integers when they are looked at: a large model keeps them in bytes."""

    def __init__(self, narrow: Mapping[str, Any]) -> None:
        self._narrow = narrow

    def __getitem__(self, name: str) -> Ints:
        wide: Ints = self._narrow[name].astype(np.int64)
        return wide

    def __iter__(self) -> Iterator[str]:
        return iter(self._narrow)

    def __len__(self) -> int:
        return len(self._narrow)


def _block(node: Any) -> Block:
    inputs, outputs = tuple(node.inputs), tuple(node.outputs)
    lanes, contexts = node.get_attr("lanes"), node.get_attr("contexts")
    if isinstance(node, Fork):
        channels, fmt = node.get_output_variable().shape[-1], node.get_attr("format")
        return Block(node.name, None, inputs, outputs, channels, channels, (fmt,), fmt, lanes, contexts=contexts)
    if not isinstance(node, OperationLayer):
        raise ConversionError(f"node {node.name!r} ({node.class_name}) is not one of ours")
    op = node.operation
    formats = tuple(op.stream_format(name) for name in op.streams)
    params = _Widened(node.get_attr("params"))
    reuse_factor, events = node.get_attr("reuse_factor", 1), node.get_attr("events", False)
    return Block(
        node.name, op, inputs, outputs, op.n_in, op.n_out, formats, op.out, lanes, reuse_factor,
        contexts=contexts, events=events, padding=node.get_attr("padding", 0), params=params,
    )  # fmt: skip
