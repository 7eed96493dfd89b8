"""Linear: ``y = W x`` without bias, accumulated exactly, then re-quantized; the head keeps its accumulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.format import Format, Ints, bits_for, requantize
from spikegpt_hls.quant.ops.base import Operation, State


@dataclass(frozen=True)
class Linear(Operation):
    """Parameter ``weight`` (outputs, inputs), symmetric about zero: 8 bits are -127..127, 2 bits are ternary."""

    params: ClassVar[tuple[str, ...]] = ("weight",)

    inputs: int
    outputs: int
    x: Format
    weight: Format

    @property
    def n_in(self) -> int:
        return self.inputs

    @property
    def n_out(self) -> int:
        return self.outputs

    @property
    def accumulator(self) -> Format:
        """Wide enough for the worst case of all inputs and weights: nothing ever wraps."""
        reach = self.inputs * self.weight.hi * max(-self.x.lo, self.x.hi)
        return Format(bits_for(-reach, reach), self.x.frac + self.weight.frac)

    def param_shape(self, name: str) -> tuple[int, ...]:
        return (self.outputs, self.inputs)

    def prepare(self, params: Mapping[str, Ints]) -> Mapping[str, NDArray]:
        """Floats, which have a fast product: float32 carries integers to 2**24 and float64 to 2**53; int64 has none."""
        exact = np.float32 if self.accumulator.bits <= 25 else np.float64
        return {"weight": params["weight"].astype(exact, copy=False)}

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        weight = self.prepare(params)["weight"]
        product = streams[0].astype(weight.dtype) @ weight.T
        return requantize(product.astype(np.int64), self.accumulator.frac, self.out), state
