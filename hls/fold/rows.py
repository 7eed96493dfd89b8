"""Weights in a memory outside: what the Linears have in common that one engine reads row by row (docs/memory.md).

A row is what one input is multiplied with: the weights of a tile of outputs, as many of them as there are sums. The bus
of ``bus`` bits brings PE weights a cycle, so a dense matrix takes inputs x outputs / PE cycles for a wave of ``batch``
tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from spikegpt_hls.hls.dataflow import Block, Dataflow, Rows
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.ring import is_inside
from spikegpt_hls.quant.format import bits_for
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear

NAME = "rows"  # of what reads and adds them, as a block among others
CHIP, MEMORY = WEIGHTS = ("chip", "memory")
BUS = 64  # bits: a port of a Zynq
PATIENCE = 64  # cycles, behind a token's logits, after which a wave is closed; beats of slack in front of a join
MAX_BATCH = 16  # tokens: beyond, almost every row is needed by one of them


class Tiling(NamedTuple):
    """A matrix in rows: tiles of ``words`` beats a row, the last one of ``last``."""

    tiles: int
    words: int
    last: int

    @property
    def beats(self) -> int:
        """Of one input's weights."""
        return (self.tiles - 1) * self.words + self.last


def outside(dataflow: Dataflow, batch: int = 1, bus: int = BUS) -> Dataflow:
    """A folded dataflow with its Linears' weights and its embedding in a memory; ConversionError where it cannot be."""
    ring = dataflow.ring
    if ring is None:
        raise ConversionError(
            "weights=memory goes with depth=folded: one layer's blocks, and a memory that serves them"
        )
    linears = [block for block in dataflow.blocks if isinstance(block.operation, Linear)]
    widths = {raw_bits(block) for block in linears}
    if len(widths) > 1:
        raise ConversionError(
            f"in a memory all weights have the same width, and not {', '.join(map(str, sorted(widths)))} bits"
        )
    (weight_bits,) = widths
    if bus % weight_bits or bus not in (32, 64, 128, 256, 512):
        raise ConversionError(f"a memory's bus has 32, 64, 128, 256 or 512 bits, not {bus}")
    lanes, pe = ring.lanes, bus // weight_bits
    if pe % lanes or bus % lanes:
        raise ConversionError(f"{lanes} lanes do not divide the {pe} weights that a bus of {bus} bits brings at once")
    inside = [block for block in linears if is_inside(block)]
    if not 1 <= batch <= MAX_BATCH:
        raise ConversionError(f"{batch} tokens cannot share a reading of weights: 1 to {MAX_BATCH} can")
    rows = Rows(
        members=len(linears),
        layers=ring.layers,
        batch=batch,
        bus=bus,
        weight_bits=weight_bits,
        x_bits=max(block.operation.x.bits + (not block.operation.x.signed) for block in linears),  # type: ignore[union-attr]
        sum_bits=max(_sum_bits(block) for block in linears),
        words=max(-(-block.channels_out // pe) for block in inside),
        shift=max(_shift(block) for block in linears),
        beats=max(block.beats_in for block in linears),
    )
    users = (Linear, BinaryEmbedding)
    blocks = [replace(b, rows=rows) if b.places or isinstance(b.operation, users) else b for b in dataflow.blocks]
    return of_batch(replace(dataflow, blocks=tuple(blocks)), batch)


def of_batch(dataflow: Dataflow, batch: int) -> Dataflow:
    """The same with so many tokens that share a row: the ring lets them in as a wave, and every join holds one."""
    logits = dataflow.driver[dataflow.sink].beats_out
    blocks = []
    for block in dataflow.blocks:
        block = replace(block, rows=block.rows and block.rows._replace(batch=batch))
        if block.places:
            block = replace(block, places=batch, patience=logits + PATIENCE)
        if block.is_join:
            wave = (batch + 1) * block.beats_in + PATIENCE
            block = replace(block, fifo_depths=tuple(max(depth, wave) for depth in block.fifo_depths))
        blocks.append(block)
    return replace(dataflow, blocks=tuple(blocks))


def tiling(block: Block) -> Tiling:
    """Of a Linear whose weights lie in a memory."""
    rows = block.rows
    assert rows is not None
    words = -(-block.channels_out // rows.pe)
    tiles = -(-words // rows.words)
    each = -(-words // tiles)
    return Tiling(tiles, each, words - (tiles - 1) * each)


def shared_beats(block: Block, events: float | None = None) -> float:
    """Of all layers, a token's share of the beats that a whole wave reads for a Linear: of every row, or of those of so
    many ``events`` on average, if tokens fire without regard to each other."""
    assert block.rows is not None
    inputs, batch = block.channels_in, block.rows.batch
    rows = inputs if events is None else inputs * (1 - (1 - events / inputs) ** batch)
    return block.layers * rows * tiling(block).beats / batch


def weights_of_row(block: Block) -> int:
    """That are read for one input of a Linear which events drive; the last of them may have no output."""
    return tiling(block).beats * block.rows.pe if block.rows else block.folding.rows * block.folding.pe


def shifts(block: Block) -> list[int]:
    """Of each layer, the bits by which its weights are coarser than the block's grid."""
    return [int(shift) for shift in block.params["shift"]] if "shift" in block.params else [0] * block.layers


def _shift(block: Block) -> int:
    return max(shifts(block))


def raw_bits(block: Block) -> int:
    """Of a weight on its layer's grid."""
    assert isinstance(block.operation, Linear)
    return block.operation.weight.bits - _shift(block)


def _sum_bits(block: Block) -> int:
    """Of a sum on the grid of its layer's weights."""
    op = block.operation
    assert isinstance(op, Linear)
    reach = op.inputs * ((1 << raw_bits(block) - 1) - 1) * max(-op.x.lo, op.x.hi)
    return bits_for(-reach, reach)
