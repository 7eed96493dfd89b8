"""The engine in the top: its parameters and memory images, its instance, and the wires to its members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow, Engine
from spikegpt_hls.hls.fold.engine import NAME
from spikegpt_hls.hls.rtl.blocks import bus, image_file, weight_image
from spikegpt_hls.hls.rtl.image import Image, pack

#: Of each member: one bit, or what stands here.
_WIRES = ("request", "first", "grant", "selected", "done", "valid")


def _of(members: Sequence[Block]) -> Engine:
    engine = members[0].engine
    assert engine is not None
    return engine


def parameters(members: Sequence[Block]) -> dict[str, int]:
    """The integer parameters of ``engine.sv``; none where there are no members."""
    if not members:
        return {}
    engine, folding = _of(members), members[0].folding
    widths = bus(engine)
    return {
        "MEMBERS": engine.members,
        "LANES": members[0].lanes,
        "SIMD": folding.simd,
        "PE": folding.pe,
        "WORD": folding.word,
        "BEAT_BITS": widths["BEAT_BITS"],
        "COUNT_BITS": engine.word_steps.bit_length(),
        "STEPS": engine.steps,
        "X_BITS": widths["BUS_BITS"],
        "X_SIGNED": int(engine.x_signed),
        "WEIGHT_BITS": engine.weight_bits,
        "SUM_BITS": widths["SUM_BITS"],
        **dict(zip(("WIDE", "NARROW"), members[0].multiplier, strict=True)),
    }


def images(members: Sequence[Block]) -> dict[str, Image]:
    """The members' weights one after the other; and of each member its last beat, the steps of a result word, and where
    its weights begin."""
    if not members:
        return {}
    bits, steps = _of(members).weight_bits, [block.folding.steps for block in members]
    weights = [weight_image(block, bits) for block in members]
    table = {"TABLE_FILE": _table(members, [0, *accumulate(steps[:-1])])}
    return {"WEIGHT_FILE": Image(tuple(word for image in weights for word in image.words), weights[0].bits), **table}


def _table(members: Sequence[Block], bases: Sequence[int]) -> Image:
    known = parameters(members)
    beat, count = known["BEAT_BITS"], known["COUNT_BITS"]
    base = max(1, (known["STEPS"] - 1).bit_length())
    rows = [
        [block.beats_in - 1 | block.folding.steps_per_word << beat | first << beat + count]
        for block, first in zip(members, bases, strict=True)
    ]
    return pack(np.array(rows), beat + count + base)


def values(members: Sequence[Block]) -> dict[str, int | str]:
    """The parameters, and the paths of the images."""
    return {**parameters(members), **{name: image_file(NAME, name) for name in images(members)}}


def instance(dataflow: Dataflow, busy: str) -> Iterator[str]:
    """The lines that declare the engine's wires and instantiate it; nothing where nobody shares it."""
    members = dataflow.members
    if not members:
        return
    engine, lanes = _of(members), members[0].lanes
    given = {name: f'"{value}"' if isinstance(value, str) else value for name, value in values(members).items()}
    yield f"  logic [{len(members) - 1}:0] {', '.join(f'{NAME}_{wire}' for wire in _WIRES)};"
    yield f"  logic [{bus(engine)['BEAT_BITS'] - 1}:0] {NAME}_beat;"
    yield f"  logic [{len(members) * lanes * engine.x_bits - 1}:0] {NAME}_x;"
    yield f"  logic [{lanes * engine.sum_bits - 1}:0] {NAME}_sum;"
    yield f"  {NAME} #("
    yield ",\n".join(f"      .{name}({value})" for name, value in given.items())
    yield f"  ) u_{NAME} ("
    lines = ["      .clk", "      .rst", *(f"      .{wire}({NAME}_{wire})" for wire in (*_WIRES, "beat", "x", "sum"))]
    yield ",\n".join([*lines, f"      .busy({busy})"])
    yield "  );"


def ports(dataflow: Dataflow, block: Block) -> list[str]:
    """The lines that connect a member with the engine."""
    number = next(n for n, member in enumerate(dataflow.members) if member.name == block.name)
    width = block.lanes * _of([block]).x_bits
    own = [f"      .{wire}({NAME}_{wire}[{number}])" for wire in _WIRES]
    return [*own, f"      .beat({NAME}_beat)", f"      .x({NAME}_x[{number * width}+:{width}])",
            f"      .sum({NAME}_sum)"]  # fmt: skip
