"""A dataflow from operations alone, for a network whose weights nobody needs: no ONNX, no hls4ml, no parameters.

What is assembled here equals, block by block, what ``hls.graph.dataflow`` makes of the converted network.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from spikegpt_hls.hls.dataflow import XC7_MULTIPLIER, Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.engine import share
from spikegpt_hls.hls.fold.fifos import fifo_depths
from spikegpt_hls.hls.fold.limits import padding, with_padding
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear, Operation

#: Every operation in topological order, with those that it reads; one that reads nothing known reads what comes in.
Network = Mapping[str, tuple[Operation, tuple[str, ...]]]
_LAYER = re.compile(r"blocks_(\d+)_(\w+)")


def widened(network: Network, factor: int, vocabulary: int) -> Network:
    """The network with ``factor`` times as many channels, and ``vocabulary`` ids in and logits out.

    Formats stay, but for the logits, which are accumulators and grow with the channels.
    """
    read = {name for _, inputs in network.values() for name in inputs}
    return {
        name: (_widened(op, factor, vocabulary, name not in read), inputs) for name, (op, inputs) in network.items()
    }


def _widened(op: Operation, factor: int, vocabulary: int, last: bool) -> Operation:
    match op:
        case BinaryEmbedding():
            return replace(op, vocabulary=vocabulary, channels=op.channels * factor)
        case Linear():
            wide = replace(op, inputs=op.inputs * factor, outputs=vocabulary if last else op.outputs * factor)
            return replace(wide, out=wide.accumulator) if op.out == op.accumulator else wide
    return replace(op, channels=op.n_in * factor)  # type: ignore[call-arg]


def assemble(
    network: Network,
    lanes: int,
    reuse_factors: Mapping[str, int],
    contexts: int = 1,
    multiplier: tuple[int, ...] = XC7_MULTIPLIER,
    engine: Collection[str] = (),
    events: Collection[str] = (),
) -> Dataflow:
    """Blocks and streams as the conversion makes them: a fork wherever a stream has several readers, FIFOs at joins."""
    readers: dict[str, list[str]] = defaultdict(list)
    for name, (_, inputs) in network.items():
        for stream in inputs:
            readers[stream].append(name)
    sinks = [name for name in network if not readers[name]]
    sources = {stream for stream in readers if stream not in network}
    if len(sinks) != 1 or len(sources) != 1:
        raise ConversionError(
            f"a network has one stream that comes in and one that goes out, not {sources} and {sinks}"
        )
    source = sources.pop()
    blocks: list[Block] = []

    def fork(stream: str, channels: int, fmt: Format) -> None:
        """Where it has several readers."""
        outputs = tuple(f"{stream}_{port}" for port in range(len(readers[stream])))
        if len(outputs) > 1:
            made = Block(f"{stream}_fork", None, (stream,), outputs, channels, channels, (fmt,), fmt, lanes)
            blocks.append(replace(made, contexts=contexts))

    first, inputs = network[readers[source][0]]
    fork(source, first.n_in, first.stream_format(first.streams[inputs.index(source)]))
    for name, (op, inputs) in network.items():
        more = padding(op, lanes) if name == sinks[0] else 0
        op = with_padding(op, more)
        streams = tuple(
            f"{stream}_{readers[stream].index(name)}" if len(readers[stream]) > 1 else stream for stream in inputs
        )
        formats = tuple(op.stream_format(stream) for stream in op.streams)
        blocks.append(
            Block(
                name, op, streams, (name,), op.n_in, op.n_out, formats, op.out, lanes, reuse_factors.get(name, 1),
                contexts=contexts, events=name in events, padding=more,
            )
        )  # fmt: skip
        fork(name, op.n_out, op.out)
    depths = fifo_depths(blocks)
    sized = tuple(replace(b, fifo_depths=depths.get(b.name, ()), multiplier=multiplier) for b in blocks)
    return Dataflow(share(sized, engine), source, sinks[0])


def alike(network: Network) -> Network:
    """The network with the operations of layer 1 in every later layer that has the same widths.

    Layers of random weights differ in binary points by chance; alike, they are synthesised once.
    """
    layers: dict[str, dict[str, Operation]] = defaultdict(dict)
    for name, (op, _) in network.items():
        if match := _LAYER.fullmatch(name):
            layers[match[1]][match[2]] = op
    model = layers.get("1", {})
    same = {n for n, layer in layers.items() if _widths(layer) == _widths(model)}
    return {
        name: (model[match[2]] if (match := _LAYER.fullmatch(name)) and match[1] in same else op, inputs)
        for name, (op, inputs) in network.items()
    }


def _widths(layer: Mapping[str, Operation]) -> dict[str, dict[str, Any]]:
    """Every operation without its binary points."""
    plain = {name: op.attributes().items() for name, op in layer.items()}
    return {
        name: {key: (v[0], v[2]) if isinstance(v, list) else v for key, v in values} for name, values in plain.items()
    }
