"""The constants of a dataflow that grow with the square of its width or with its vocabulary, as modules read them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear

#: Words and bits of half a block RAM (UG473, 7 Series Memory Resources) and of an UltraRAM (UG573).
BRAM18 = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
URAM = (4096, 72)


@dataclass(frozen=True)
class Rom:
    """A block's constants as its module reads them: ``words`` of ``bits``, one a cycle, ``reads`` of them per token."""

    words: int
    bits: int
    reads: int

    @property
    def size(self) -> int:
        """Bits."""
        return self.words * self.bits

    @property
    def bram36(self) -> float:
        """Block RAMs of the shape that needs fewest."""
        return min(ceil(self.words / words) * ceil(self.bits / bits) for words, bits in BRAM18) / 2

    @property
    def bytes_per_token(self) -> float:
        return self.reads * self.bits / 8

    @property
    def uram(self) -> int:
        return ceil(self.words / URAM[0]) * ceil(self.bits / URAM[1])


def rom(block: Block) -> Rom | None:
    """The constants of a block that grow with the square of the model's width, or with its vocabulary."""
    match block.operation:
        case Linear() as op:
            folding = block.folding
            return Rom(folding.steps, folding.simd * folding.pe * op.weight.bits, folding.steps)
        case BinaryEmbedding() as op:
            return Rom(op.vocabulary * block.beats_out, block.lanes, block.beats_out)
    return None


def roms(dataflow: Dataflow) -> dict[str, Rom]:
    return {block.name: found for block in dataflow.blocks if (found := rom(block))}
