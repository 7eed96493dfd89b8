"""Parameters and tables as hls4ml weights: raw integers, written a row at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hls4ml.model.types import IntegerPrecisionType, WeightVariable

from spikegpt_hls.quant.format import Ints

ROW = 4096  # numbers per write


class IntegerWeights(WeightVariable):
    """Integers of a given width. hls4ml writes whatever iteration yields, so it yields whole rows, not numbers."""

    def __init__(self, name: str, index: int, values: Ints, bits: int, signed: bool) -> None:
        precision = IntegerPrecisionType(bits, signed)
        super().__init__(f"{name}{index}", f"{name}{index}_t", precision, np.ascontiguousarray(values).ravel())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, self.data_length, ROW):
            yield ", ".join(map(str, self.data[start : start + ROW].tolist()))
