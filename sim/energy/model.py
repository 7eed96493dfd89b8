"""Energy per token: action counts times a cited table, as Accelergy does it, and nothing else.

``energy = sum over actions of count * pJ(action)``: compute and memory apart, off-chip reads in the memory and named.
Beside it, never in it: what zero operands could save, and the compute scaled by the switching that was measured
(``sim/energy/switching.py``). Static energy is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.energy.actions import Action, actions, activity
from spikegpt_hls.sim.energy.energy_table import EnergyTable
from spikegpt_hls.sim.energy.switching import RANDOM, Switching
from spikegpt_hls.sim.errors import SimulationError

Activity = Mapping[str, Mapping[str, float]]  # per token, by block


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
        """On the chip and off it."""
        return sum(pj for action, pj in self.items if action.is_memory)

    @property
    def offchip_pj(self) -> float:
        return sum(pj for action, pj in self.items if action.kind == "fetch")

    @property
    def offchip_bytes(self) -> float:
        return sum(action.count * action.bits for action, _ in self.items if action.kind == "fetch") / 8

    @property
    def macs(self) -> float:
        """Weights added to a sum: products, or weights themselves where inputs are bits."""
        return sum(a.count for a, _ in self.items if a.what == "accumulate" and self.kind == "Linear")

    @property
    def skippable_pj(self) -> float:
        """Compute of the multiply-accumulates with a zero input: what a hardware that skips them would not spend."""
        mac = sum(pj for action, pj in self.items if action.what in ("weight x input", "accumulate"))
        return mac * self.activity.get("skippable_macs", 0.0) / self.macs if self.macs else 0.0

    def scaled_pj(self, switching: Switching) -> float:
        """Compute, each action times its measured switching over that of random operands."""
        rates = switching[self.name]
        return sum(pj * rates.of(action.what) / RANDOM for action, pj in self.items if not action.is_memory)


@dataclass(frozen=True)
class EnergyReport:
    """Energy per token of a dataflow on the text of its traces; derived: measured counts times cited constants."""

    table: EnergyTable
    tokens: int
    blocks: tuple[BlockEnergy, ...]
    switching: Switching | None = None

    @property
    def compute_pj(self) -> float:
        return sum(block.compute_pj for block in self.blocks)

    @property
    def memory_pj(self) -> float:
        return sum(block.memory_pj for block in self.blocks)

    @property
    def offchip_pj(self) -> float:
        """Of the memory, what is read from off the chip."""
        return sum(block.offchip_pj for block in self.blocks)

    @property
    def offchip_bytes(self) -> float:
        return sum(block.offchip_bytes for block in self.blocks)

    @property
    def total_pj(self) -> float:
        return self.compute_pj + self.memory_pj

    @property
    def joules_per_token(self) -> float:
        return self.total_pj * 1e-12

    @property
    def scaled_compute_pj(self) -> float:
        """Activity-scaled compute (``sim/energy/switching.py``); SimulationError where no switching was measured."""
        if self.switching is None:
            raise SimulationError("no switching was measured for this energy report")
        return sum(block.scaled_pj(self.switching) for block in self.blocks)

    @property
    def macs(self) -> float:
        """Products of all Linears per token."""
        return sum(block.macs for block in self.blocks)

    @property
    def skippable_macs(self) -> float:
        """Those with a zero input, which this hardware computes all the same."""
        return sum(block.activity.get("skippable_macs", 0.0) for block in self.blocks)

    @property
    def skippable_pj(self) -> float:
        return sum(block.skippable_pj for block in self.blocks)

    def by_kind(self) -> dict[str, float]:
        """Actions per token of each kind; for read, write and fetch the bits moved."""
        counts: dict[str, float] = {}
        for block in self.blocks:
            for action, _ in block.items:
                amount = action.count * (action.bits if action.is_memory else 1)
                counts[action.kind] = counts.get(action.kind, 0.0) + amount
        return counts

    def shares(self) -> list[dict[str, Any]]:
        """Each constant of the table with the pJ per token that stand on it; they sum to the total."""
        items = [action for block in self.blocks for action, _ in block.items]
        return [{**constant, "pj_per_token": _sum(items, table)} for constant, table in self.table.alone()]


def _sum(items: Iterable[Action], table: EnergyTable) -> float:
    return sum(action.count * table.pj(action) for action in items)


def energy(
    dataflow: Dataflow,
    traces: Mapping[str, Ints],
    table: EnergyTable | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
    outside: Collection[str] = (),
    switching: Switching | None = None,
) -> EnergyReport:
    """Energy per token of ``dataflow``, with the data-dependent counts of ``traces`` (block to (tokens, channels)).

    ``outside`` names the blocks whose constants are read from off the chip.
    """
    tokens = len(traces[dataflow.driver[dataflow.sink].name])
    return priced(dataflow, activity(dataflow, traces), tokens, table, timing, outside, switching)


def priced(
    dataflow: Dataflow,
    counted: Activity,
    tokens: int,
    table: EnergyTable | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
    outside: Collection[str] = (),
    switching: Switching | None = None,
) -> EnergyReport:
    """``energy`` of counts that were made already, over ``tokens`` tokens."""
    table = table or EnergyTable.load()
    if unknown := set(outside) - {block.name for block in dataflow.blocks}:
        raise SimulationError(f"no block is called {', '.join(sorted(unknown))}: its constants cannot leave the chip")
    blocks = []
    for block in dataflow.blocks:
        found = counted.get(block.name, {})
        spent = actions(block, timing(block), block.name in outside, found.get("events"), found.get("rows"))
        items = tuple((a, a.count * table.pj(a)) for a in spent)
        blocks.append(BlockEnergy(block.name, block.kind, items, found))
    return EnergyReport(table, tokens, tuple(blocks), switching)


def mean(parts: Iterable[tuple[int, Activity]]) -> tuple[int, dict[str, dict[str, float]]]:
    """Tokens in all and activity per token, of texts that were counted one by one: (tokens, activity) each."""
    total, sums = 0, {}  # type: int, dict[str, dict[str, float]]
    for tokens, counted in parts:
        total += tokens
        for block, found in counted.items():
            of_block = sums.setdefault(block, {})
            for key, value in found.items():
                of_block[key] = of_block.get(key, 0.0) + value * tokens
    return total, {block: {key: value / total for key, value in found.items()} for block, found in sums.items()}
