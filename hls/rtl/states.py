"""Where a block keeps its state: the memory's name in its module, and how a lane's word is laid out."""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.blocks import exponents
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF, WKV, TokenShift


@dataclass(frozen=True)
class StateMemory:
    """``fields`` are the states of one channel, least significant first; a word holds those of LANES channels.

    Beat ``b`` of context ``c`` lies at word ``stride * c + b``, the stride being a power of two.
    """

    memory: str
    fields: tuple[tuple[str, Format], ...]
    stride: int

    @property
    def bits(self) -> int:
        """Of one channel."""
        return sum(fmt.bits for _, fmt in self.fields)


def state_memory(block: Block) -> StateMemory | None:
    """The state memory of a block; None for one without state."""
    op = block.operation
    stride = 2 ** max(1, (block.beats_in - 1).bit_length())
    match op:
        case LIF():
            return StateMemory("membrane", (("membrane", op.membrane),), stride)
        case TokenShift():
            return StateMemory("row", (("prev", op.x),), stride)
        case WKV():
            b = Format(op.state_format("b").bits - 1, 0, signed=False)  # never negative
            fields = (("exponent", Format(exponents(op)[1], 0)), ("b", b), ("a", op.state_format("a")))
            return StateMemory("state", fields, stride)
    return None
