"""Cited energies per action, and the rules that lead from them to other widths and sizes.

The constants are in ``energy_table.json``, each with its node, width and source, beside the rules in words. Every price
is a sum of the constants with fixed weights, so each constant has a share of every total.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import log2, sqrt
from pathlib import Path
from typing import Any

from spikegpt_hls.sim.energy.actions import Action
from spikegpt_hls.sim.errors import SimulationError

Points = Sequence[tuple[float, float]]

#: What a table must hold: constants by width, by size, and a rule for every kind of action.
CONSTANTS = ("add", "multiply", "float_add", "float_multiply", "sram", "dram")
KINDS = ("add", "multiply", "float_add", "float_multiply", "compare", "shift", "divide", "read", "write", "fetch")
FIELDS = ("bits", "pj", "node", "source")


@dataclass(frozen=True)
class EnergyTable:
    """Cited energies of one process node, and the rules between them (``rules`` in the file)."""

    node: str
    source: str
    add: Points  # (bits, pJ)
    multiply: Points  # (bits, pJ) of a product of two equal widths
    float_add: Points
    float_multiply: Points
    sram: Points  # (bytes, pJ per bit)
    dram: Points  # (bits, pJ per bit), the ends of a range
    rules: Mapping[str, str]
    constants: Mapping[str, Sequence[Mapping[str, Any]]]  # as they are in the file

    @classmethod
    def load(cls, text: str | None = None, name: str = "the energy table") -> EnergyTable:
        """The table of this package, or one in the same form; SimulationError says what it lacks."""
        text = files(__package__).joinpath("energy_table.json").read_text("utf-8") if text is None else text
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise SimulationError(f"{name} is not JSON: {error}") from error
        _check(raw, name)

        def points(kind: str) -> Points:
            return sorted((entry["bits"], entry["pj"]) for entry in raw[kind])

        return cls(
            raw["node"],
            raw["source"],
            add=points("add"),
            multiply=points("multiply"),
            float_add=points("float_add"),
            float_multiply=points("float_multiply"),
            sram=sorted((entry["bytes"], entry["pj"] / entry["bits"]) for entry in raw["sram"]),
            dram=sorted((entry["bits"], entry["pj"] / entry["bits"]) for entry in raw["dram"]),
            rules=raw["rules"],
            constants={kind: raw[kind] for kind in CONSTANTS},
        )

    @classmethod
    def read(cls, path: str | Path | None) -> EnergyTable:
        """A file in the form of ``energy_table.json``; None: the one of this package."""
        if path is None:
            return cls.load()
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            raise SimulationError(f"cannot read the energy table {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SimulationError(f"the energy table {path} is not text") from error
        return cls.load(text, f"the energy table {path}")

    def pj(self, action: Action) -> float:
        """pJ of one such action; SimulationError where there is no such kind of action."""
        match action.kind:
            case "multiply":
                return self._multiply(action.bits, action.other)
            case "float_add" | "float_multiply":
                return _piecewise(getattr(self, action.kind), action.bits)
            case "read" | "write":
                return action.bits * self.per_bit(action.memory / 8)
            case "fetch":
                return action.bits * sum(pj for _, pj in self.dram) / len(self.dram)
            case "add" | "compare" | "shift" | "divide":
                return self._add(action.bits)
        raise SimulationError(f"no energy is known for the action {action.kind!r} ({action.what})")

    def _add(self, bits: int) -> float:
        first = self.add[0]
        if bits <= first[0]:
            return first[1] * bits / first[0]
        return _piecewise(self.add, bits)

    def _multiply(self, bits: int, other: int) -> float:
        per_bit = [(width, pj / width**2) for width, pj in self.multiply]
        width = min(max(sqrt(bits * other), per_bit[0][0]), per_bit[-1][0])
        return bits * other * _piecewise(per_bit, width)

    def per_bit(self, size: float) -> float:
        """pJ per bit of a memory whose banks have ``size`` bytes."""
        for edge, outside in ((self.sram[0], size < self.sram[0][0]), (self.sram[-1], size > self.sram[-1][0])):
            if outside:
                return edge[1] * sqrt(size / edge[0])
        return _piecewise([(log2(edge), pj) for edge, pj in self.sram], log2(size))

    def alone(self) -> Iterator[tuple[Mapping[str, Any], EnergyTable]]:
        """Each constant, and the table in which all others are zero: what it prices is that constant's share."""
        for kind in CONSTANTS:
            for chosen in self.constants[kind]:
                kept = {
                    k: [entry if entry is chosen else {**entry, "pj": 0} for entry in entries]
                    for k, entries in self.constants.items()
                }
                whole = {"node": self.node, "source": self.source, "rules": dict(self.rules), **kept}
                yield {"kind": kind, **chosen}, EnergyTable.load(json.dumps(whole))


def _check(raw: Any, name: str) -> None:
    """SimulationError, one sentence, for the first thing that is missing or is no number."""
    if not isinstance(raw, dict):
        raise SimulationError(f"{name} is not in the form of energy_table.json")
    for key in ("node", "source", "rules", *CONSTANTS):
        if not raw.get(key):
            raise SimulationError(f"{name} has no {key!r}, which every run needs")
    if not isinstance(raw["rules"], dict) or any(not isinstance(raw[kind], list) for kind in CONSTANTS):
        raise SimulationError(f"{name} is not in the form of energy_table.json: rules by action, lists of constants")
    for kind in KINDS:
        if kind not in raw["rules"]:
            raise SimulationError(f"{name} has no rule for the action {kind!r}")
    for kind in CONSTANTS:
        for entry in raw[kind]:
            _check_entry(entry, kind, name)


def _check_entry(entry: Any, kind: str, name: str) -> None:
    needed = (*FIELDS, "bytes") if kind == "sram" else FIELDS
    for field in needed:
        value = entry.get(field) if isinstance(entry, dict) else None
        if field in ("node", "source"):
            good = isinstance(value, str) and bool(value)
        else:
            good = isinstance(value, int | float) and (value >= 0 if field == "pj" else value > 0)
        if not good:
            raise SimulationError(f"{name}: a constant of {kind!r} has no usable {field!r}: {entry}")


def _piecewise(points: Points, x: float) -> float:
    """Linear between the points around ``x``; beyond the last along the last piece."""
    right = next((n for n in range(1, len(points)) if x <= points[n][0]), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(right - 1, 0)], points[right]
    return y1 if x0 == x1 else y0 + (x - x0) * (y1 - y0) / (x1 - x0)
