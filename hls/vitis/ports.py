"""The ports that Vitis HLS gives the top function, and how it lays a struct out on a stream's ``TDATA``.

A struct on an AXI4-Stream port is one vector, padded as C pads it (UG1399, "Structs on the Interface": ``axis`` cannot
be compacted): members from the least significant bit up, each in the next power of two of bytes that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError


@dataclass(frozen=True)
class Layout:
    """Members of ``bits[i]`` bits at bit ``offsets[i]`` of a vector of ``width``."""

    bits: tuple[int, ...]
    offsets: tuple[int, ...]
    width: int

    @classmethod
    def of(cls, bits: Sequence[int]) -> Layout:
        """Of a struct with members of so many bits, in their order."""
        offsets, end = [], 0
        for size in map(_allocated, bits):
            end = -(-end // size) * size
            offsets.append(end)
            end += size
        largest = max(map(_allocated, bits))
        return cls(tuple(bits), tuple(offsets), -(-end // largest) * largest)

    def pack(self, values: Sequence[int]) -> int:
        """The vector that holds ``values``, in two's complement."""
        parts = zip(values, self.bits, self.offsets, strict=True)
        return sum((value & (1 << bits) - 1) << offset for value, bits, offset in parts)

    def unpack(self, vector: int) -> list[int]:
        """The unsigned members of a vector."""
        return [vector >> offset & (1 << bits) - 1 for bits, offset in zip(self.bits, self.offsets, strict=True)]


def _allocated(bits: int) -> int:
    return max(8, 1 << (bits - 1).bit_length())


def token_layout(dataflow: Dataflow) -> Layout:
    """``nnet::token``: the id, and whether it begins a sequence, in the same type."""
    reader, port = dataflow.reader[dataflow.source]
    return Layout.of([reader.format_in[port].bits] * 2)


def logits_layout(dataflow: Dataflow) -> Layout:
    """``nnet::beat``: LANES logits, and the mark of a sequence's first token."""
    head = dataflow.driver[dataflow.sink]
    return Layout.of([head.format_out.bits] * head.lanes + [1])


@dataclass(frozen=True)
class Ports:
    """The two streams of a top module in Verilog: prefixes of ``_TDATA``, ``_TVALID`` and ``_TREADY``."""

    source: str
    sink: str

    @classmethod
    def read(cls, verilog: Path, dataflow: Dataflow) -> Ports:
        """From the module's header; ConversionError where it is not the top of ``dataflow``."""
        text = verilog.read_text(errors="replace")
        prefixes = {}
        for direction, layout in (("input", token_layout(dataflow)), ("output", logits_layout(dataflow))):
            declared = rf"^\s*{direction}\s+(?:wire\s+|logic\s+)?\[(\d+):0\]\s*(\w+)_TDATA\b"
            ports = re.findall(declared, text, re.MULTILINE)
            if len(ports) != 1:
                raise ConversionError(f"{verilog} has {len(ports)} {direction} streams, not one")
            ((high, prefixes[direction]),) = ports
            if int(high) + 1 != layout.width:
                raise ConversionError(
                    f"{verilog}: {prefixes[direction]}_TDATA has {int(high) + 1} bits; this model's has {layout.width}"
                )
        return cls(prefixes["input"], prefixes["output"])
