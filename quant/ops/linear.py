"""Linear: ``y = W x`` without bias, accumulated exactly, then re-quantized; the head keeps its accumulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.quant.format import Format, Ints, bits_for, requantize
from spikegpt_hls.quant.operation.base import Operation, State
from spikegpt_hls.quant.operation.schema import Channels, Formats, Rule, Signal, Vocabulary, not_finer_than


@dataclass(frozen=True)
class Linear(Operation):
    """Parameter ``weight`` (outputs, inputs), symmetric about zero: 8 bits are -127..127, 2 bits are ternary."""

    params: ClassVar[tuple[str, ...]] = ("weight",)
    axes: ClassVar[tuple[str, ...]] = ("outputs", "inputs")
    rules: ClassVar[tuple[Rule, ...]] = (not_finer_than("x and the weight together", lambda op: op.accumulator.frac),)

    inputs: Channels
    outputs: Vocabulary
    x: Signal
    weight: Annotated[Format, Formats((1, 15), (0, 16), (True,))]

    @property
    def n_out(self) -> int:
        return self.outputs

    @property
    def accumulator(self) -> Format:
        """Wide enough for the worst case of all inputs and weights: nothing ever wraps."""
        reach = self.inputs * self.weight.hi * max(-self.x.lo, self.x.hi)
        return Format(bits_for(-reach, reach), self.x.frac + self.weight.frac)

    def limits(self, name: str) -> tuple[int, int]:
        return (-self.weight.hi, self.weight.hi) if name == "weight" else super().limits(name)

    def prepare(self, params: Mapping[str, Ints]) -> Mapping[str, NDArray]:
        """Floats, which have a fast product: float32 carries integers to 2**24 and float64 to 2**53; int64 has none."""
        exact = np.float32 if self.accumulator.bits <= 25 else np.float64
        return {"weight": params["weight"].astype(exact, copy=False)}

    def run(self, streams: Sequence[Ints], params: Mapping[str, Ints], state: State) -> tuple[Ints, State]:
        weight = self.prepare(params)["weight"]
        product = streams[0].astype(weight.dtype) @ weight.T
        return requantize(product.astype(np.int64), self.accumulator.frac, self.out), state
