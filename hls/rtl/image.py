"""Memory images, for ``$readmemh``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikegpt_hls.quant.format import Ints


@dataclass(frozen=True)
class Image:
    """A memory image: words of ``bits``."""

    words: tuple[int, ...]
    bits: int

    def hex(self) -> str:
        digits = (self.bits + 3) // 4
        return "".join(f"{word:0{digits}x}\n" for word in self.words)


def pack(values: Ints, bits: int) -> Image:
    """One word per row of ``values``; column ``l`` lies at ``[l*bits +: bits]``, in two's complement."""
    rows, columns = np.shape(values)
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)  # bytes of the narrowest integer that holds it
    narrow = np.asarray(values, np.int64).astype(f"<u{size}").view(np.uint8).reshape(rows, columns, size)
    fields = np.unpackbits(narrow, axis=2, bitorder="little")[:, :, :bits].reshape(rows, columns * bits)
    packed = np.packbits(fields, axis=1, bitorder="little")
    return Image(tuple(int.from_bytes(row.tobytes(), "little") for row in packed), bits * columns)
