"""Sampling a token from logits, in NumPy alone, so that hardware benches pick the same tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.model.errors import ModelError


class Sampler:
    """Temperature, then nucleus (top-p) sampling with a seeded generator; temperature 0 takes the largest logit."""

    def __init__(self, seed: int = 0, temperature: float = 1.0, top_p: float = 0.9) -> None:
        if temperature < 0:
            raise ModelError(f"a temperature is 0 or more, not {temperature}")
        if not 0 < top_p <= 1:
            raise ModelError(f"top-p lies above 0 and up to 1, not {top_p}")
        self.temperature, self.top_p = temperature, top_p
        self.generator = np.random.default_rng(seed)

    def pick(self, logits: NDArray) -> int:
        """One token id for ``logits`` (vocabulary,)."""
        logits = np.asarray(logits, np.float64)
        if self.temperature == 0:
            return int(logits.argmax())
        weights = np.exp((logits - logits.max()) / self.temperature)
        order = np.argsort(-weights, kind="stable")
        mass = np.cumsum(weights[order])
        kept = int(np.searchsorted(mass, self.top_p * mass[-1])) + 1
        point = self.generator.random() * mass[kept - 1]
        return int(order[min(int(np.searchsorted(mass[:kept], point, side="right")), kept - 1)])
