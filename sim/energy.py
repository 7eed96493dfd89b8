"""Energy per token: action counts times a cited table, as Accelergy does it, and nothing else.

``energy = sum over actions of count * pJ(action)``; the table's constants are in ``energy_table.json``, each with its
node, width and source, beside the rules that lead from them to other widths and sizes. Static energy is not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import log2, sqrt
from typing import Any

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.actions import Action, actions, activity
from spikegpt_hls.sim.errors import SimulationError

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class EnergyTable:
    """Cited energies of one process node, and the rules between them (``rules`` in the file)."""

    node: str
    source: str
    add: Points  # (bits, pJ)
    multiply: Points  # (bits, pJ) of a product of two equal widths
    sram: Points  # (bytes, pJ per bit)
    rules: Mapping[str, str]

    @classmethod
    def load(cls, text: str | None = None) -> EnergyTable:
        """The table of this package, or one in the same form; SimulationError where an entry is missing."""
        try:
            raw: dict[str, Any] = json.loads(
                text or files(__package__).joinpath("energy_table.json").read_text("utf-8")
            )
            return cls(
                raw["node"],
                raw["source"],
                sorted((e["bits"], e["pj"]) for e in raw["add"]),
                sorted((e["bits"], e["pj"]) for e in raw["multiply"]),
                sorted((e["bytes"], e["pj"] / e["bits"]) for e in raw["sram"]),
                raw["rules"],
            )
        except KeyError as error:
            raise SimulationError(f"the energy table has no {error.args[0]!r}, which every run needs") from error
        except (TypeError, json.JSONDecodeError) as error:
            raise SimulationError(f"the energy table is not in the form of energy_table.json: {error}") from error

    def pj(self, action: Action) -> float:
        """pJ of one such action; SimulationError where the table has no rule for it."""
        if action.kind not in self.rules:
            raise SimulationError(f"the energy table has no rule for the action {action.kind!r} ({action.what})")
        if action.kind == "multiply":
            return self._multiply(action.bits, action.other)
        if action.is_memory:
            return action.bits * self._per_bit(action.memory / 8)
        return self._add(action.bits)

    def _add(self, bits: int) -> float:
        first = self.add[0]
        if bits <= first[0]:
            return first[1] * bits / first[0]
        return _piecewise(self.add, bits)

    def _multiply(self, bits: int, other: int) -> float:
        per_bit = [(width, pj / width**2) for width, pj in self.multiply]
        width = min(max(sqrt(bits * other), per_bit[0][0]), per_bit[-1][0])
        return bits * other * _piecewise(per_bit, width)

    def _per_bit(self, size: float) -> float:
        """pJ per bit of a memory of ``size`` bytes."""
        for edge, outside in ((self.sram[0], size < self.sram[0][0]), (self.sram[-1], size > self.sram[-1][0])):
            if outside:
                return edge[1] * sqrt(size / edge[0])
        return _piecewise([(log2(edge), pj) for edge, pj in self.sram], log2(size))


def _piecewise(points: Points, x: float) -> float:
    """Linear between the points around ``x``; beyond the last along the last piece."""
    right = next((n for n in range(1, len(points)) if x <= points[n][0]), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(right - 1, 0)], points[right]
    return y1 if x0 == x1 else y0 + (x - x0) * (y1 - y0) / (x1 - x0)


@dataclass(frozen=True)
class BlockEnergy:
    """One block, per token."""

    name: str
    kind: str
    items: tuple[tuple[Action, float], ...]  # each action, and its pJ per token
    activity: Mapping[str, float]

    @property
    def compute_pj(self) -> float:
        return sum(pj for action, pj in self.items if not action.is_memory)

    @property
    def memory_pj(self) -> float:
        return sum(pj for action, pj in self.items if action.is_memory)

    @property
    def macs(self) -> float:
        return sum(a.count for a, _ in self.items if a.kind == "multiply" and self.kind == "Linear")


@dataclass(frozen=True)
class EnergyReport:
    """Energy per token of a dataflow on the text of its traces; derived: measured counts times cited constants."""

    table: EnergyTable
    tokens: int
    blocks: tuple[BlockEnergy, ...]

    @property
    def compute_pj(self) -> float:
        return sum(block.compute_pj for block in self.blocks)

    @property
    def memory_pj(self) -> float:
        return sum(block.memory_pj for block in self.blocks)

    @property
    def total_pj(self) -> float:
        return self.compute_pj + self.memory_pj

    @property
    def joules_per_token(self) -> float:
        return self.total_pj * 1e-12

    @property
    def macs(self) -> float:
        """Products of all Linears per token."""
        return sum(block.macs for block in self.blocks)

    @property
    def skippable_macs(self) -> float:
        """Those with a zero input, which this hardware computes all the same."""
        return sum(block.activity.get("skippable_macs", 0.0) for block in self.blocks)

    def by_kind(self) -> dict[str, float]:
        """Actions per token of each kind; for read and write the bits moved."""
        counts: dict[str, float] = {}
        for block in self.blocks:
            for action, _ in block.items:
                amount = action.count * (action.bits if action.is_memory else 1)
                counts[action.kind] = counts.get(action.kind, 0.0) + amount
        return counts


def energy(
    dataflow: Dataflow,
    traces: Mapping[str, Ints],
    table: EnergyTable | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
) -> EnergyReport:
    """Energy per token of ``dataflow``, with the data-dependent counts of ``traces`` (block to (tokens, channels))."""
    table = table or EnergyTable.load()
    measured = activity(dataflow, traces)
    blocks = []
    for block in dataflow.blocks:
        items = tuple((a, a.count * table.pj(a)) for a in actions(block, timing(block)))
        blocks.append(BlockEnergy(block.name, block.kind, items, measured.get(block.name, {})))
    return EnergyReport(table, len(traces[dataflow.driver[dataflow.sink].name]), tuple(blocks))
