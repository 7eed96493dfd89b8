"""The image of a memory outside: where each row lies, and the bytes (docs/memory.md).

All places are counted in beats of the bus from the window's start. A header comes first, then the embedding's rows,
then layer by layer the matrices in the order in which a token needs them, each at a multiple of 4 KB, input by input;
then the head. A beat is little-endian: weight ``p`` of a beat lies at bit ``p * weight_bits``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.driver.image import HEADER, digest, header
from spikegpt_hls.hls.fold.ring import is_inside
from spikegpt_hls.hls.fold.rows import shifts, tiling
from spikegpt_hls.quant.ops import BinaryEmbedding

ALIGN = 4096  # bytes


@dataclass(frozen=True)
class Layout:
    """Where things lie in the memory of a dataflow."""

    dataflow: Dataflow

    @property
    def members(self) -> tuple[Block, ...]:
        """The Linears, the first in line first: the deepest in the network."""
        return tuple(b for b in reversed(self.dataflow.blocks) if b.rows and b.kind == "Linear")

    @cached_property
    def embedding(self) -> Block:
        return next(b for b in self.dataflow.blocks if b.rows and b.kind == "BinaryEmbedding")

    @cached_property
    def bus_bytes(self) -> int:
        assert self.embedding.rows is not None
        return self.embedding.rows.bus // 8

    @property
    def row_beats(self) -> int:
        """Of a token's row in the embedding."""
        return -(-self.embedding.channels_out // (8 * self.bus_bytes))

    @cached_property
    def _places(self) -> tuple[dict[tuple[str, int], int], int, int]:
        """The first byte of each matrix by its block and layer, of the embedding, and the end."""
        embedding = self.embedding.operation
        assert isinstance(embedding, BinaryEmbedding)
        at = HEADER
        found: dict[tuple[str, int], int] = {}
        first, at = at, _aligned(at + embedding.vocabulary * self.row_beats * self.bus_bytes)
        for block, number in self.matrices():
            found[block.name, number] = at
            at = _aligned(at + block.channels_in * tiling(block).beats * self.bus_bytes)
        return found, first, at

    def matrices(self) -> Iterator[tuple[Block, int]]:
        """Every Linear with its layer, in the order in which a token needs them."""
        inside = [block for block in reversed(self.members) if is_inside(block)]
        layers = max(block.layers for block in self.members)
        for number in range(layers):
            for block in inside:
                yield block, number
        for block in reversed(self.members):
            if block not in inside:
                yield block, 0

    @property
    def size(self) -> int:
        """Of the image, in bytes."""
        return self._places[2]

    def first(self, block: Block, number: int = 0) -> int:
        """The beat at which a block's rows begin."""
        found, embedding, _ = self._places
        place = embedding if block.kind == "BinaryEmbedding" else found[block.name, number]
        return place // self.bus_bytes

    @property
    def beat_bits(self) -> int:
        """Of a beat's number."""
        return (self.size // self.bus_bytes).bit_length()

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The bytes."""
        image = np.zeros(self.size, np.uint8)
        table = np.asarray(self.embedding.params["table"], np.uint8)
        _place(image, self.first(self.embedding) * self.bus_bytes, _packed(table, 1, self.row_beats * self.bus_bytes))
        for block, number in self.matrices():
            _place(image, self.first(block, number) * self.bus_bytes, self._rows(block, number))
        image[:HEADER] = np.frombuffer(header(self._described(digest(image.data))), np.uint8)
        return image

    @property
    def digest(self) -> str:
        """SHA-256 of all behind the header, in hexadecimal."""
        return digest(self.image.data)

    def _rows(self, block: Block, number: int) -> NDArray[np.uint8]:
        """(tiles x inputs x words) beats of one matrix."""
        rows, tiles = block.rows, tiling(block)
        assert rows is not None
        weight = np.asarray(block.of_layer(number).params["weight"]) >> shifts(block)[number]
        padded = np.pad(weight, ((0, tiles.beats * rows.pe - block.channels_out), (0, 0))).T  # (inputs, outputs)
        cuts = [slice(t * tiles.words * rows.pe, (t + 1) * tiles.words * rows.pe) for t in range(tiles.tiles)]
        parts = [_packed(padded[:, cut], rows.weight_bits, 0).ravel() for cut in cuts]
        return np.concatenate(parts)

    def _described(self, digest: str) -> dict[str, int | str]:
        """What the header says."""
        head = self.dataflow.blocks[-1]
        rows = self.embedding.rows
        assert rows is not None
        embedding = self.embedding.operation
        assert isinstance(embedding, BinaryEmbedding)
        return {
            "layers": max(block.layers for block in self.members),
            "channels": embedding.channels,
            "vocabulary": embedding.vocabulary,
            "outputs": head.channels_out - head.padding,
            "weight_bits": rows.weight_bits,
            "bus_bits": rows.bus,
            "bytes": self.size,
            "sha256": digest,
        }

    def write(self, path: Path) -> None:
        """The image as a file."""
        path.write_bytes(self.image.tobytes())


def _aligned(place: int) -> int:
    return -(-place // ALIGN) * ALIGN


def _place(image: NDArray[np.uint8], at: int, data: NDArray[np.uint8]) -> None:
    flat = data.ravel()
    image[at : at + flat.size] = flat


def _packed(values: NDArray, bits: int, row_bytes: int) -> NDArray[np.uint8]:
    """Each row's integers one behind the other, ``bits`` each, in ``row_bytes``, or as many as they take."""
    rows = len(values)
    fields = (np.asarray(values, np.int64)[:, :, None] >> np.arange(bits)) & 1
    packed = np.packbits(fields.reshape(rows, -1).astype(np.uint8), axis=1, bitorder="little")
    return np.pad(packed, ((0, 0), (0, max(0, row_bytes - packed.shape[1]))))
