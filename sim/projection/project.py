"""What a dataflow would do on named parts: fit, bottleneck, roofline, tokens per second, latency, energy per token.

Nothing of it was run on a part. Every figure is projected: cycles by the cycle simulator, with weights that find no
room on the chip read from the board's memory (``offchip.py``), at a clock that is an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import ceil
from typing import Any

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.limits import MAX_CONTEXTS
from spikegpt_hls.hls.fold.planning import Plan, plan_of
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles.schedule import token_times
from spikegpt_hls.sim.energy.energy_table import EnergyTable
from spikegpt_hls.sim.energy.model import Activity, EnergyReport, priced
from spikegpt_hls.sim.memory import outside, state_bits
from spikegpt_hls.sim.offchip import Supply, fetches
from spikegpt_hls.sim.parts import Part, shares
from spikegpt_hls.sim.projection.roofline import Roofline, roofline
from spikegpt_hls.sim.resources.synthesis import FAMILY
from spikegpt_hls.sim.roms import roms
from spikegpt_hls.sim.traces import means

TOKENS = 32  # of a streamed prompt
ROUNDS = 4  # tokens of each of several texts

ALWAYS = (
    "the clock is assumed; what was placed or routed is in the target's own report",
    "several texts: as many as keep the pipeline full; block RAM for their states beyond the dataflow's own contexts "
    "is not in the fit",
    "resources are those of xc7 after synthesis (Yosys), on UltraScale+ they are an upper bound; on ECP5, whose LUTs "
    "have four inputs and whose multipliers take one product each, a lower one: it can only be told what does not fit",
    "energy: actions counted from the geometry times 45 nm constants, dynamic only; a Linear multiplies zeros all "
    "the same, unless it is driven by events",
)
#: Of a size whose weights were never trained, and may leave the chip.
BY_GEOMETRY = (
    "the weights are random: binary points come from a network of the same depth 64 channels wide, widths are exact; "
    "zeros and spikes are not measured, and events are a share that is assumed",
    "weights and embedding fill UltraRAM, then block RAM, largest first; what finds no room is read from the board's "
    "memory once per token",
    "a Linear that reads weights from outside is not built: bursts, latency, buffers and shares follow the rules in "
    "docs/projections.md; the memory gives its peak bandwidth, refresh and turnarounds cost nothing",
)


@dataclass(frozen=True)
class Rates:
    """Cycles: of a token by itself, from one token of a prompt to the next, and from one generated token to the next,
    of one text and of ``texts`` in turn."""

    latency: int
    streaming: float
    one_text: float
    texts: int
    several_texts: float


@dataclass(frozen=True)
class Projection:
    """One part. ``outside`` are the blocks whose constants are read from its board's memory."""

    part: Part
    clock: float  # MHz
    plan: Plan
    used: Mapping[str, float]  # shares of the part, and of its board's memory
    outside: tuple[str, ...]
    rates: Rates
    bottleneck: str
    roofline: Roofline
    energy: EnergyReport

    @property
    def tightest(self) -> str:
        """The resource of which most is used."""
        return max(self.used, key=self.used.__getitem__)

    @property
    def fits(self) -> bool | None:
        """None: not known, where the resources are a lower bound."""
        if self.used[self.tightest] > 1:
            return False
        return True if self.part.family == FAMILY else None

    def tokens_per_s(self, cycles: float) -> float:
        return self.clock * 1e6 / cycles


def project(
    dataflow: Dataflow,
    total: Mapping[str, float],
    parts: Iterable[Part],
    clock: float,
    progress: Callable[[str], None] = lambda part: None,
    whole: bool = False,
    events: Mapping[str, Ints] | None = None,
    counted: Activity | None = None,
) -> list[Projection]:
    """``total`` is what all blocks take without their ROMs, which may leave the chip, or with them, where it is the
    ``whole``. ``progress`` is told each part. ``events``: of each token, in
    front of each Linear that they drive (``simulate``). ``counted``: what else depends on data (``priced``)."""
    driven = events or {}
    spending = counted or {name: {"events": mean} for name, mean in means(driven).items()}
    plan, constants, table = plan_of(dataflow, means(driven)), roms(dataflow), EnergyTable.load()
    found = []

    @cache  # parts without a memory in use, and like memories, are one
    def rates(off: tuple[str, ...], supply: Supply | None) -> Rates:
        return _rates(dataflow, off, supply, driven)

    for part in parts:
        progress(part.name)
        off = () if whole else outside(part, dataflow, total)
        read = sum(rom.bytes_per_token for name, rom in constants.items() if name in off)
        cycles = rates(off, part.board.supply(clock) if off else None)
        memory_bound = cycles.streaming > plan.interval * 1.001
        bottleneck = "off-chip bandwidth" if memory_bound else plan.bottleneck
        roof = roofline(dataflow, read, part, clock)
        spent = priced(dataflow, spending, 0, table, outside=off)
        stored = sum(rom.size for name, rom in constants.items() if name in off) / 8
        used = {**shares(total, part), "memory": stored / (part.board.megabytes * 2**20)}
        found.append(Projection(part, clock, plan, used, off, cycles, bottleneck, roof, spent))
    return found


def _rates(dataflow: Dataflow, off: tuple[str, ...], supply: Supply | None, driven: Mapping[str, Ints]) -> Rates:
    shared = fetches(dataflow, off, supply) if supply else {}
    alone = fetches(dataflow, off, supply, alone=True) if supply else {}
    prompt = token_times(dataflow, TOKENS, outside=shared, events=driven)
    one = token_times(dataflow, ROUNDS, generation=1, outside=alone, events=driven)
    texts = min(ceil(prompt.latency / prompt.cycles_per_token), MAX_CONTEXTS)
    several = token_times(dataflow, ROUNDS * texts, generation=1, contexts=texts, outside=shared, events=driven)
    return Rates(one.latency, prompt.cycles_per_token, one.cycles_per_token, texts, several.cycles_per_token)


def as_json(dataflow: Dataflow, found: Iterable[Projection], command: str, whole: bool = False) -> dict[str, Any]:
    """``projected.json``: figures in the form of the report's, tagged projected."""
    made = list(found)
    plan = made[0].plan
    return {
        "provenance": "projected",
        "command": command,
        "clock_mhz": made[0].clock,
        "assumptions": [*ALWAYS, *(() if whole else BY_GEOMETRY)],
        "folding": {
            "multipliers": plan.multipliers,
            "lanes": plan.lanes,
            "cycles_per_token": plan.interval,
            "bottleneck": plan.bottleneck,
        },
        "constant_bytes": sum(rom.size for rom in roms(dataflow).values()) / 8,
        "state_bytes_per_text": state_bits(dataflow) / 8,
        "parts": {each.part.name: _part(each, command) for each in made},
    }


def _part(found: Projection, command: str) -> dict[str, Any]:
    roof, rates = found.roofline, found.rates
    return {
        "part": asdict(found.part),
        "fits": found.fits,
        "used": dict(found.used),
        "tightest": found.tightest,
        "outside": list(found.outside),
        "bottleneck": found.bottleneck,
        "texts": rates.texts,
        "cycles": asdict(rates),
        "roofline": {
            **asdict(roof),
            "intensity": roof.intensity if found.outside else None,
            "ridge": roof.ridge,
            "macs_per_s": roof.macs,
            "bound": roof.bound,
        },
        "figures": {name: _figure(*values, command) for name, values in _figures(found).items()},
    }


def _figures(found: Projection) -> dict[str, tuple[str, float, str, str]]:
    """Label, value, unit, source."""
    rates, energy = found.rates, found.energy
    clock = f"cycle simulator, {found.part.name} at an assumed {found.clock:g} MHz"
    table = f"actions counted from the geometry x {energy.table.source} ({energy.table.node})"
    return {
        "prompt_tokens_per_s": ("prompt, tokens/s", found.tokens_per_s(rates.streaming), "tokens/s", clock),
        "text_tokens_per_s": ("one text, tokens/s", found.tokens_per_s(rates.one_text), "tokens/s", clock),
        "texts_tokens_per_s": (
            f"{rates.texts} texts, tokens/s", found.tokens_per_s(rates.several_texts), "tokens/s", clock,
        ),
        "latency": ("id to its last logit", rates.latency / found.clock / 1e3, "ms", clock),
        "roofline_tokens_per_s": (
            "roofline, tokens/s", found.roofline.tokens_per_s, "tokens/s",
            f"{found.part.source}; {found.part.board.source}",
        ),
        "offchip_bytes": ("off-chip bytes per token", found.roofline.bytes_per_token, "B", "the folding"),
        "energy": ("energy per token", energy.total_pj / 1e6, "uJ", table),
        "energy_compute": ("of it compute", energy.compute_pj / 1e6, "uJ", table),
        "energy_memory": ("of it memory", energy.memory_pj / 1e6, "uJ", table),
        "energy_offchip": ("of the memory off the chip", energy.offchip_pj / 1e6, "uJ", table),
    }  # fmt: skip


def _figure(label: str, value: float, unit: str, source: str, command: str) -> dict[str, Any]:
    return {"label": label, "value": value, "unit": unit, "provenance": "projected", "source": source,
            "command": command}  # fmt: skip
