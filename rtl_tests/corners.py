"""Operations at the corners of their schema, with streams and parameters that reach both ends of every format."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np

from spikegpt_hls.quant.errors import GraphError
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.operation.schema import Channels, Count, Formats, Vocabulary, domains
from spikegpt_hls.quant.ops import OPERATIONS, BinaryEmbedding, Operation

SIZES = [get_args(kind)[1] for kind in (Channels, Vocabulary)]
SMALL = (1, 4)  # of these: their most would take hours
TRIES = 400


def admitted(cls: type[Operation], values: dict[str, Any]) -> Operation | None:
    """The operation with these attributes, where the schema lets it in."""
    try:
        return cls.from_attributes(cls(**values).attributes())
    except GraphError:
        return None


def corner_operations(cls: type[Operation]) -> list[Operation]:
    """So many that each attribute is at each of its corners that the rules leave, beside corners of the others and what
    lies between; of four results one is as coarse as it may be, and two as fine."""
    rng = random.Random(cls.__name__)
    due = [(name, corner) for name, domain in domains(cls).items() for corner in _corners(domain)]
    found: list[Operation] = []
    while due:
        name, corner = due.pop(0)
        for _ in range(TRIES):
            drawn = {other: _drawn(domain, rng) for other, domain in domains(cls).items()}
            operation = admitted(cls, {**drawn, name: corner})
            if operation is not None:
                as_drawn = name == "out" or len(found) % 4 == 2
                found.append(operation if as_drawn else _at_its_rule(operation, finest=len(found) % 2 == 1))
                due = [(other, value) for other, value in due if getattr(found[-1], other) != value]
                break
    return found


def _corners(domain: Count | Formats) -> Iterator[Any]:
    yield from SMALL if domain in SIZES else domain.corners()


def _drawn(domain: Count | Formats, rng: random.Random) -> Any:
    corner = rng.choice(list(_corners(domain)))
    if isinstance(domain, Count) or rng.random() < 0.5:
        return corner
    signed = rng.choice(domain.signed)
    return Format(rng.randint(*domain.bits) + signed, rng.randint(*domain.frac), signed)


def _at_its_rule(operation: Operation, finest: bool) -> Operation:
    """With as many fraction bits in its result as the rules allow, or as few."""
    domain = domains(type(operation))["out"]
    assert isinstance(domain, Formats)
    values = {field.name: getattr(operation, field.name) for field in fields(operation)}
    fracs = range(domain.frac[0], domain.frac[1] + 1)
    tried = (
        admitted(type(operation), {**values, "out": replace(operation.out, frac=frac)})
        for frac in (reversed(fracs) if finest else fracs)
    )
    return next(found for found in tried if found is not None)


def corner_parameters(operation: Operation, seed: int = 0) -> dict[str, Ints]:
    rng = np.random.default_rng(seed)
    return {name: _ends(operation, name, operation.param_shape(name), rng) for name in operation.params}


def corner_streams(operation: Operation, tokens: int, seed: int = 0) -> list[Ints]:
    """Each (tokens, channels); of an embedding (tokens,)."""
    rng = np.random.default_rng(seed)
    return [_ends(operation, name, (tokens, *operation.stream_shape(name)), rng) for name in operation.streams]


def _ends(operation: Operation, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Ints:
    """Half of the values are an end of the range or beside it, whole rows at times; the others of any magnitude."""
    lo, hi = operation.limits(name)
    values = rng.integers(lo, hi, shape, endpoint=True) >> rng.integers(0, max(1, int(hi).bit_length()), shape)
    ends = np.unique(np.clip([lo, lo + 1, 0, hi - 1, hi], lo, hi))
    values = np.where(rng.random(shape) < 0.5, rng.choice(ends, shape), values)
    rows = rng.random((shape[0], *[1] * (len(shape) - 1))) < 0.3
    return np.where(rows, rng.choice(ends, rows.shape), values)


CORNERS = [operation for cls in OPERATIONS.values() for operation in corner_operations(cls)]


def lanes_of(operation: Operation) -> int:
    """As many as divide what is read and what is written."""
    read = operation.n_out if isinstance(operation, BinaryEmbedding) else operation.n_in
    return 2 if read % 2 == 0 and operation.n_out % 2 == 0 else 1
