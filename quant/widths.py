"""Bits by layer: ``4`` for all, or ``"4, head=8, blocks.0.*=8"``, where the last pattern that fits decides."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from spikegpt_hls.model.errors import ModelError

WEIGHT_BITS = (2, 4, 8)  # 2 is ternary
ACTIVATION_BITS = (4, 5, 6, 7, 8)


@dataclass
class Widths:
    """The bits of every layer; patterns are shell patterns over module paths such as ``blocks.0.att.key``."""

    setting: int | str
    allowed: tuple[int, ...]
    what: str
    rules: list[tuple[str, int]] = field(init=False)
    unused: set[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = [part.strip() for part in str(self.setting).split(",")]
        self.rules = [self._rule(part if "=" in part else f"*={part}") for part in parts]
        if [pattern for pattern, _ in self.rules].count("*") != 1 or "=" in parts[0]:
            raise ModelError(f"bits of {self.what} start with the common width, as in 4,head=8; not {self.setting!r}")
        if len(self.rules) == 1:
            self.setting = self.rules[0][1]
        self.unused = {pattern for pattern, _ in self.rules[1:]}

    def _rule(self, part: str) -> tuple[str, int]:
        pattern, _, bits = part.rpartition("=")
        if bits.strip() not in map(str, self.allowed):
            raise ModelError(f"{self.what} have {', '.join(map(str, self.allowed))} bits, not {bits.strip() or 'none'}")
        return pattern.strip(), int(bits)

    def of(self, path: str) -> int:
        """The bits of the layer at ``path``."""
        fitting = [(pattern, bits) for pattern, bits in self.rules if fnmatchcase(path, pattern)]
        self.unused -= {pattern for pattern, _ in fitting}
        return fitting[-1][1]

    def check_used(self) -> None:
        """ModelError where a pattern fits no layer; to be called once every layer has asked."""
        if self.unused:
            raise ModelError(f"no layer with {self.what} is called {min(self.unused)}")


@dataclass(frozen=True)
class Precision:
    """The widths that a network is built with; ``inside`` a module, paths are relative to it."""

    weights: Widths
    activations: Widths
    prefix: str = ""

    @classmethod
    def of(cls, weight_bits: int | str, activation_bits: int | str) -> Precision:
        return cls(Widths(weight_bits, WEIGHT_BITS, "weights"), Widths(activation_bits, ACTIVATION_BITS, "activations"))

    def inside(self, module: str) -> Precision:
        return replace(self, prefix=f"{self.prefix}{module}.")

    def weight(self, layer: str) -> int:
        return self.weights.of(self.prefix + layer)

    def activation(self, layer: str) -> int:
        """Bits of what ``layer`` writes."""
        return self.activations.of(self.prefix + layer)

    def check_used(self) -> None:
        self.weights.check_used()
        self.activations.check_used()
