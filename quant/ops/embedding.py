"""Binary embedding: ``b = (E[token] >= 0)`` (SpikeGPT ``src/model.py``, ``GPT.forward``), a ROM of bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Bit, Channels, Vocabulary

BIT = Format(1, 0, signed=False)


@dataclass(frozen=True)
class BinaryEmbedding(Operation):
    """Token ids (batch, tokens) in, ``channels`` bits out; parameter ``table`` (vocabulary, channels) of bits."""

    streams: ClassVar[tuple[str, ...]] = ("ids",)
    params: ClassVar[tuple[str, ...]] = ("table",)
    axes: ClassVar[tuple[str, ...]] = ("vocabulary", "channels")

    out: Bit
    vocabulary: Vocabulary
    channels: Channels

    @property
    def ids(self) -> Format:
        return Format(max(1, (self.vocabulary - 1).bit_length()), 0, signed=False)

    @property
    def table(self) -> Format:
        return BIT

    def stream_shape(self, name: str) -> tuple[int, ...]:
        return ()

    def limits(self, name: str) -> tuple[int, int]:
        return (0, self.vocabulary - 1) if name == "ids" else super().limits(name)

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        return params["table"][streams[0]], state
