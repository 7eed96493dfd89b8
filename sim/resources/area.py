"""What a dataflow takes of a part, from blocks that are synthesised once and for all: an estimate for searches.

Training puts every binary point where the data want it, so that no two networks have the same blocks, while a binary
point only moves wires. So each block is synthesised at nominal binary points and with random constants (measured, by
Yosys), and stands for all blocks that differ from it in nothing else. The estimate is the sum (derived).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold import engine
from spikegpt_hls.hls.rtl.writer import write
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import WKV, BinaryEmbedding, Gate, LayerNorm, Linear, Operation, Sigmoid
from spikegpt_hls.sim.parts import Part
from spikegpt_hls.sim.resources.synthesis import resources

KINDS = ("lut", "dsp", "bram36")


def estimate(dataflow: Dataflow, folder: Path) -> dict[str, Any]:
    """As ``resources.json``, of the nominal blocks; ``folder`` gets their RTL."""
    members = [block.name for block in dataflow.members]
    blocks = engine.share((replace(nominal(block), engine=None) for block in dataflow.blocks), members)
    write(replace(dataflow, blocks=blocks), folder)
    made = resources(replace(dataflow, blocks=blocks), folder)
    return {**made, "provenance": "derived: blocks at nominal binary points, measured by Yosys"}


def share(total: Mapping[str, float], part: Part) -> float:
    """LUT, DSP and block RAM in one number: the mean of their shares of a part."""
    return sum(total[kind] / float(getattr(part, kind)) for kind in KINDS) / len(KINDS)


def nominal(block: Block) -> Block:
    """The block that stands for ``block``."""
    if block.operation is None:
        return block
    op = _operation(block.operation)
    formats = tuple(op.stream_format(name) for name in op.streams)
    return replace(block, operation=op, format_in=formats, format_out=op.out, params=_constants(op))


def _operation(op: Operation) -> Operation:
    match op:
        case BinaryEmbedding():
            return op
        case Linear():
            weight = replace(op.weight, frac=op.weight.bits - 1)
            made = replace(op, out=_at(op.out), x=_at(op.x), weight=weight)
            return replace(made, out=made.accumulator) if op.out == op.accumulator else made
        case LayerNorm():
            return replace(op, out=_at(op.out), x=_at(op.x), gain=replace(op.gain, frac=5))
        case Sigmoid():
            return replace(op, x=_at(op.x))
        case WKV():
            return replace(op, out=_at(op.out, 6), k=_at(op.k), v=_at(op.v))
        case Gate():
            return replace(op, out=_at(op.out), y=_at(op.y))
    streams = {name: _at(op.stream_format(name)) for name in op.streams}
    return replace(op, out=_at(op.out), **streams)


def _at(fmt: Format, frac: int = 4) -> Format:
    """A bit stays one: it has nothing behind its point."""
    return fmt if fmt.bits == 1 else replace(fmt, frac=frac)


def _constants(op: Operation) -> dict[str, Ints]:
    """Random parameters that depend on nothing but the operation; weights are symmetric about zero."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name in op.params:
        fmt = op.param_format(name)
        drawn[name] = rng.integers(-fmt.hi if name == "weight" else fmt.lo, fmt.hi, op.param_shape(name), endpoint=True)
    return drawn
