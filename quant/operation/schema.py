"""What an operation's attributes may be: stated beside each one, as ``Annotated[Format, Formats(...)]``.

An attribute is checked where a graph enters (``Operation.from_attributes``), for every implementation at once. What is
admitted here is what NumPy, QONNX, the C++ kernels and the RTL compute alike; ``tests/test_schema.py`` holds the
corners against all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Annotated, Any, get_args, get_type_hints

from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Format


@dataclass(frozen=True)
class Count:
    """An integer from ``least`` to ``most``."""

    least: int
    most: int

    def parse(self, value: object) -> int:
        """An ONNX attribute's value; GraphError where it is none of these."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise GraphError(f"is {value!r}, and must be {self}")
        return value

    def corners(self) -> Iterator[int]:
        yield from (self.least, self.most)

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"


@dataclass(frozen=True)
class Formats:
    """Formats of so many ``bits`` beside a sign and ``frac`` fraction bits, each from the least to the most."""

    bits: tuple[int, int]
    frac: tuple[int, int]
    signed: tuple[bool, ...] = (False, True)

    def parse(self, value: object) -> Format:
        """An ONNX attribute's value, ``[bits, frac, signed]``; GraphError where it is none of these."""
        if isinstance(value, list | tuple) and len(value) == 3 and all(type(part) is int for part in value):
            bits, frac, sign = value
            (least, most), (coarsest, finest) = self.bits, self.frac
            known = sign in (0, 1) and bool(sign) in self.signed
            if known and least <= bits - sign <= most and coarsest <= frac <= finest:
                return Format(bits, frac, bool(sign))
        raise GraphError(f"is {value!r}, and must be {self}")

    def corners(self) -> Iterator[Format]:
        for bits, frac, signed in product(self.bits, self.frac, self.signed):
            yield Format(bits + signed, frac, signed)

    def __str__(self) -> str:
        kinds = [_range(f"{'s' if sign else 'u'}{{}}", *(bits + sign for bits in self.bits)) for sign in self.signed]
        return f"{' or '.join(kinds)} with {_range('{}', *self.frac)} fraction bits"


def _range(text: str, least: int, most: int) -> str:
    return " to ".join(text.format(n) for n in dict.fromkeys((least, most)))


Domain = Count | Formats

Channels = Annotated[int, Count(1, 1 << 14)]
Vocabulary = Annotated[int, Count(1, 1 << 17)]
Bit = Annotated[Format, Formats((1, 1), (0, 0), (False,))]
#: What flows between operations.
Signal = Annotated[Format, Formats((1, 16), (-8, 16))]
#: What a re-quantization may write: float32 carries 24 bits and a sign exactly.
Result = Annotated[Format, Formats((1, 24), (-8, 32))]


@dataclass(frozen=True)
class Rule:
    """What an attribute ``must`` be beside the others: "it must ..."."""

    attribute: str
    must: str
    holds: Callable[[Any], bool]


#: The integer meaning computes in 64 bits: no result is shifted further to the left.
MOST_LEFT = 16


def not_finer_than(what: str, frac: Callable[[Any], int]) -> Rule:
    """``out`` is reached from a grid of ``frac`` by a shift that 64 bits hold."""
    return Rule(
        "out",
        f"have at most {MOST_LEFT} fraction bits more than {what}",
        lambda op: op.out.frac <= frac(op) + MOST_LEFT,
    )


def domains(operation: type) -> dict[str, Domain]:
    """The domain of every attribute of an operation's class, in the order in which they are declared."""
    return _domains(operation)


@cache
def _domains(operation: type) -> dict[str, Domain]:
    hints = get_type_hints(operation, include_extras=True)
    return {name: domain for name in operation.__dataclass_fields__ for domain in get_args(hints[name])[1:]}  # type: ignore[attr-defined]
