"""Class sum: ``y[c] = sum_t x[t, c]`` over a sentence's tokens; its class is ``argmax_c y[c]``, of equals the lowest.

No operation of the graph: a graph's operations write something for every token, this one writes once a sentence, behind
the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikegpt_hls.quant.format import ExactnessError, Format, Ints, bits_for

#: Tokens of the longest sentence that hardware is built for: the model's context.
LONGEST = 1024


@dataclass(frozen=True)
class ClassSum:
    """Of logits of the format ``x``, of sentences of 1 to ``longest`` tokens."""

    x: Format
    longest: int = LONGEST

    @property
    def out(self) -> Format:
        """Wide enough for the longest sentence, whose logits are all at one end of their format: nothing ever wraps."""
        return Format(bits_for(self.longest * self.x.lo, self.longest * self.x.hi), self.x.frac)

    def check(self, lengths: Sequence[int] | Ints) -> None:
        """ExactnessError for a sentence of no token, or of too many."""
        for number, length in enumerate(lengths):
            if not 1 <= length <= self.longest:
                raise ExactnessError(
                    f"sentence {number} has {length} tokens: logits are added up over 1 to {self.longest}"
                )

    def run(self, logits: Ints, lengths: Sequence[int] | Ints) -> Ints:
        """Logits (tokens, classes) of sentences back to back to their sums (sentences, classes); errors as in
        ``check``."""
        self.check(lengths)
        starts = np.cumsum([0, *lengths[:-1]], dtype=np.int64)
        sums: Ints = np.add.reduceat(logits, starts, axis=0, dtype=np.int64)
        return sums

    def classes(self, logits: Ints, lengths: Sequence[int] | Ints) -> Ints:
        """The class (sentences,) of each sentence."""
        found: Ints = self.run(logits, lengths).argmax(1)
        return found
