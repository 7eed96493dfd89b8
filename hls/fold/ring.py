"""Folding over depth: the blocks of one layer, which every token passes once for each layer (docs/ring.md).

A block keeps a state, and constants, for each layer; their number travels with the token. So all layers need the same
formats, but for their weights, whose grids become the finest of them: an integer of a coarser one is shifted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import Linear, Operation

NAME = "ring"
SPATIAL, FOLDED = DEPTHS = ("spatial", "folded")  # blocks of their own for every layer, or one layer's
PREFIX = "layer_"  # of the names of a layer's blocks
PLACES = 8  # tokens inside, where nobody says how many
_LAYER = re.compile(r"blocks_(\d+)_(.+)")


def folded(dataflow: Dataflow, places: int = PLACES) -> Dataflow:
    """The dataflow with one layer's blocks for all layers; ConversionError where layers are not alike.

    Blocks of layers are called ``layer_<name>``; in front of them is the block ``ring``, where ``places`` tokens may be
    inside at once.
    """
    layers = _layers(dataflow)
    if not layers:
        raise ConversionError("depth=folded is for a network with layers (blocks_0_...), and this one has none")
    if dataflow.members:
        raise ConversionError("an engine computes all layers already: depth=folded goes without one")
    first, last = layers[0], layers[-1]
    entry = next(block.inputs[0] for block in first if block.kind == "Fork")  # what the first layer reads
    leave = last[-1]  # whose stream the network behind the layers reads
    stream = leave.format_out
    new = dataflow.driver[entry]
    if (new.format_out.frac, new.format_out.signed) != (stream.frac, stream.signed):
        raise ConversionError(
            f"{new.name} and {leave.name} differ in format, and both are read by a layer's first blocks"
        )
    names = {stream: _renamed(stream, entry) for block in first for stream in (*block.inputs, *block.outputs)}
    merged = [_merged(blocks, names, stream) for blocks in zip(*layers, strict=True)]
    back = merged[-1].outputs[0]
    ring = Block(
        NAME, None, (entry, back), ("layer", f"{NAME}_out"), leave.channels_out, leave.channels_out,
        (new.format_out, stream), stream, leave.lanes,
        contexts=leave.contexts, layers=len(layers), places=places,
    )  # fmt: skip
    inside = {block.name for layer in layers for block in layer}
    before: list[Block] = []
    behind: list[Block] = []
    for block in dataflow.blocks:
        if block.name in inside:
            continue
        inputs = tuple(ring.outputs[1] if name == leave.outputs[0] else name for name in block.inputs)
        (behind if inputs != block.inputs or behind else before).append(replace(block, inputs=inputs))
    return Dataflow((*before, ring, *merged, *behind), dataflow.source, dataflow.sink)


def is_inside(block: Block) -> bool:
    """Whether the ring's tokens pass it."""
    return block.name.startswith(PREFIX)


def layer_name(block: Block, number: int) -> str:
    """What the network calls a block's operation in a layer."""
    inside = block.name.removeprefix(PREFIX)
    return f"blocks_{number}_{inside}" if inside != block.name else block.name


def block_of(dataflow: Dataflow, name: str) -> Block:
    """The block that computes what the network calls ``name``."""
    match = _LAYER.fullmatch(name)
    inside = f"{PREFIX}{match[2]}" if match else name
    return next(block for block in dataflow.blocks if block.name in (name, inside))


def _layers(dataflow: Dataflow) -> list[list[Block]]:
    """The blocks of each layer, its first one a fork of what it reads."""
    found: dict[int, list[Block]] = {}
    norms = {block.inputs[0]: block.name for block in dataflow.blocks if block.name.endswith("_ln1")}
    for block in dataflow.blocks:
        reader = next((norms[stream] for stream in block.outputs if stream in norms), None)
        match = _LAYER.fullmatch(reader or block.name)
        if match and match[2] != "ln0":
            found.setdefault(int(match[1]), []).append(block)
    return [found[number] for number in sorted(found)]


def _renamed(stream: str, entry: str) -> str:
    """A stream of the first layer, in the ring."""
    if stream.startswith(entry):
        return f"layer{stream.removeprefix(entry)}"
    match = _LAYER.fullmatch(stream)
    return f"{PREFIX}{match[2]}" if match else stream


def _merged(blocks: Sequence[Block], names: Mapping[str, str], stream: Format) -> Block:
    """One block for the same of every layer."""
    first = blocks[0]
    operation = None
    formats = first.format_in
    if first.operation is None:
        wide = tuple(max(fmts, key=lambda fmt: fmt.bits) for fmts in zip(*(b.format_in for b in blocks), strict=True))
        formats = (stream,) if first.inputs[0] in names and names[first.inputs[0]] == "layer" else wide
        fmt_out = formats[0]
    else:
        inside = {s for s, name in names.items() if name.startswith(PREFIX) and name.removeprefix(PREFIX).isdigit()}
        reads = {port: stream for port, s in zip(first.operation.streams, first.inputs, strict=True) if s in inside}
        operation = _operation([replace(b.operation, **reads) for b in blocks if b.operation is not None], first.name)
        formats = tuple(operation.stream_format(port) for port in operation.streams)
        fmt_out = operation.out
    plain = [(b.kind, b.channels_in, b.channels_out, b.lanes, b.events, len(b.inputs)) for b in blocks]
    if len(set(plain)) != 1:
        raise ConversionError(
            f"{first.name} differs between layers in more than its numbers: depth=folded needs them alike"
        )
    depths = tuple(max(each) for each in zip(*(block.fifo_depths for block in blocks), strict=True))
    return replace(
        first,
        name=names.get(first.name, _renamed(first.name, "")) if first.operation else f"{names[first.inputs[0]]}_fork",
        operation=operation,
        inputs=tuple(names[name] for name in first.inputs),
        outputs=tuple(names[name] for name in first.outputs),
        format_in=formats,
        format_out=fmt_out,
        reuse_factor=min(block.reuse_factor for block in blocks),
        fifo_depths=depths,
        layers=len(blocks),
        params=_Stacked(blocks, operation) if len(blocks) > 1 else first.params,
    )


def _operation(operations: Sequence[Operation], name: str) -> Operation:
    """What all layers do: the widest of their formats; of weights the finest grid."""
    first, values = operations[0], {}
    for field in fields(first):
        found = [getattr(op, field.name) for op in operations]
        if field.name == "weight":
            frac = max(fmt.frac for fmt in found)
            values[field.name] = Format(max(fmt.bits + frac - fmt.frac for fmt in found), frac)
        elif isinstance(found[0], Format):
            if len({(fmt.frac, fmt.signed) for fmt in found}) > 1:
                raise ConversionError(
                    f"{name} has other formats in other layers ({field.name}): train with formats=shared"
                )
            values[field.name] = max(found, key=lambda fmt: fmt.bits)
        elif len(set(found)) > 1:
            raise ConversionError(f"{name} differs between layers in {field.name}: depth=folded needs them alike")
    return replace(first, **values)  # type: ignore[type-var,return-value]


class _Stacked(Mapping[str, Ints]):
    """Parameters of all layers, one behind the other, when they are looked at."""

    def __init__(self, blocks: Sequence[Block], operation: Operation | None) -> None:
        self._blocks, self._operation = blocks, operation

    def __getitem__(self, name: str) -> Ints:
        if name == "shift":  # by which each layer's weights were
            return np.array([self._shift(block, "weight") for block in self._blocks])
        stacked = [block.params[name] << self._shift(block, name) for block in self._blocks]
        return np.stack(stacked)

    def _shift(self, block: Block, name: str) -> int:
        if name != "weight" or not isinstance(self._operation, Linear) or not isinstance(block.operation, Linear):
            return 0
        return self._operation.weight.frac - block.operation.weight.frac

    def __iter__(self) -> Iterator[str]:
        yield from self._blocks[0].params
        if isinstance(self._operation, Linear):
            yield "shift"

    def __len__(self) -> int:
        return len(list(iter(self)))
