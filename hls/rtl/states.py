"""Where a block keeps its state: the memory's name in its module, and how a lane's word is laid out."""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF, WKV, TokenShift


@dataclass(frozen=True)
class StateMemory:
    """``fields`` are the states of one channel, least significant first; a word holds those of LANES channels."""

    memory: str
    fields: tuple[tuple[str, Format], ...]

    @property
    def bits(self) -> int:
        """Of one channel."""
        return sum(fmt.bits for _, fmt in self.fields)


def state_memory(block: Block) -> StateMemory | None:
    """The state memory of a block; None for one without state."""
    op = block.operation
    match op:
        case LIF():
            return StateMemory("membrane", (("membrane", op.membrane),))
        case TokenShift():
            return StateMemory("row", (("prev", op.x),))
        case WKV():
            b = Format(op.state_format("b").bits - 1, 0, signed=False)  # never negative
            return StateMemory(
                "state", (("exponent", op.state_format("exponent")), ("b", b), ("a", op.state_format("a")))
            )
    return None
