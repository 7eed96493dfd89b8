"""What a character costs under four accountings, side by side, each with and without data movement.

    paper          its formula and constants at this geometry, at its own rate and at the measured one (paper.py)
    as built       this network; in 32-bit floats (floats.py) and in the model's integers
    twin           the same network without neurons, trained alike, in its integers
    this hardware  both networks with measured activity: the compute scaled by its switching (sim/energy/switching.py)

and beside these

    zeros skipped  each network with the Linears driven by events that spend less so (sim/energy/skipping.py)
    zeros added    a network that was built with events, without them

Beside a spike-driven network stands the canonical one, trained alike. Beside a canonical one stands, projected, the
spike-driven placement that the paper's formula means (sim/energy/breakeven.py). All but the paper's compute are counts
of the same actions times the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.timing import Timing
from spikegpt_hls.hls.rtl.timing import timing as rtl_timing
from spikegpt_hls.quant.ops import BinaryEmbedding
from spikegpt_hls.sim.energy import paper
from spikegpt_hls.sim.energy.breakeven import BreakEven, break_evens
from spikegpt_hls.sim.energy.floats import as_floats
from spikegpt_hls.sim.energy.model import EnergyReport
from spikegpt_hls.sim.energy.skipping import added, skipped
from spikegpt_hls.sim.errors import SimulationError


@dataclass(frozen=True)
class Network:
    """A network that ran over a text: its energy with switching, its loss, and its firing (``firing.py``)."""

    dataflow: Dataflow
    energy: EnergyReport
    bits_per_character: float
    characters: int
    firing: dict[str, Any]
    context: int

    @property
    def spike_driven(self) -> bool:
        """Whether a matrix reads what neurons sent."""
        reads = (block.inputs[0] for block in self.dataflow.blocks if block.kind == "Linear")
        return any(self.dataflow.driver[stream].kind == "LIF" for stream in reads)

    @property
    def driven(self) -> bool:
        """Whether it was built with Linears that are driven by events."""
        return any(block.events for block in self.dataflow.blocks)

    @property
    def tokens_per_character(self) -> float:
        return self.energy.tokens / self.characters

    @property
    def zeros(self) -> dict[str, float]:
        """Share of each Linear's inputs that are 0."""
        return {
            b.name: b.activity["zero_operands"] / self.dataflow[b.name].channels_in
            for b in self.energy.blocks
            if b.kind == "Linear"
        }

    @property
    def geometry(self) -> tuple[int, int]:
        """Layers and channels."""
        embedding = next(b.operation for b in self.dataflow.blocks if isinstance(b.operation, BinaryEmbedding))
        return sum(block.kind == "WKV" for block in self.dataflow.blocks), embedding.channels


@dataclass(frozen=True)
class Row:
    """pJ per character, and the bits per character of the network that spends them."""

    accounting: str  # paper, as built, twin, this hardware, zeros skipped, zeros added, canonical
    label: str
    compute_pj: float
    movement_pj: float
    bits_per_character: float | None  # None: of a network that was not trained
    provenance: str  # derived: of measured counts; projected: of what was not built
    source: str
    layers_pj: float | None = None  # of it, what the layers spend: without embedding, last norm and head

    @property
    def total_pj(self) -> float:
        return self.compute_pj + self.movement_pj

    def to_json(self) -> dict[str, Any]:
        per_bit = self.total_pj / self.bits_per_character if self.bits_per_character else None
        return {**asdict(self), "total_pj": self.total_pj, "pj_per_bit": per_bit}


def accountings(
    spiking: Network,
    twin: Network,
    canonical: Network | None = None,
    timing: Callable[[Block], Timing] = rtl_timing,
) -> tuple[list[Row], list[BreakEven]]:
    """The table's rows, and the break-even rates against the twin; SimulationError where the networks are no twins.
    ``canonical``: the network of that placement, beside a spike-driven one."""
    rate = spiking.firing["rate"]
    if rate is None or twin.firing["rate"] is not None:
        raise SimulationError("the accountings compare a network with neurons with one that has none")
    if spiking.geometry != twin.geometry or spiking.characters != twin.characters:
        raise SimulationError(
            f"the twin has {twin.geometry} layers and channels and ran over {twin.characters} characters, "
            f"the spiking network {spiking.geometry} over {spiking.characters}: make both alike"
        )
    evens = break_evens(twin.dataflow, twin.zeros, twin.energy.table, timing)
    rows = [
        *(_paper(spiking, r, how) for r, how in ((paper.RATE, "its own"), (rate, "measured"))),
        _floats(spiking),
        _row(spiking, "as built", "integers", spiking.energy.compute_pj),
        _row(twin, "twin", "integers", twin.energy.compute_pj),
        _row(spiking, "this hardware", "as built, switching", spiking.energy.scaled_compute_pj),
        _row(twin, "this hardware", "twin, switching", twin.energy.scaled_compute_pj),
        _changed(spiking, "zeros skipped", "this network", skipped(spiking.dataflow, spiking.energy, timing)),
        _changed(twin, "zeros skipped", "twin", skipped(twin.dataflow, twin.energy, timing)),
    ]
    if spiking.driven:
        rows.append(_changed(spiking, "zeros added", "this network", added(spiking.dataflow, spiking.energy, timing)))
    if not spiking.spike_driven:
        rows.append(_spike_driven(spiking, twin, rate, evens))
    if canonical is not None:
        dense, sparse = (change(canonical.dataflow, canonical.energy, timing) for change in (added, skipped))
        rows.append(_changed(canonical, "canonical", "zeros added", dense))
        rows.append(_changed(canonical, "canonical", "zeros skipped", sparse))
    return rows, evens


def _row(network: Network, accounting: str, label: str, compute: float) -> Row:
    scale = network.tokens_per_character
    source = f"actions counted over {network.energy.tokens} tokens x {network.energy.table.source}"
    movement, bits = network.energy.memory_pj * scale, network.bits_per_character
    inside = sum(b.compute_pj + b.memory_pj for b in network.energy.blocks if b.name.startswith("blocks_")) * scale
    layers = inside if compute == network.energy.compute_pj else None
    return Row(accounting, label, compute * scale, movement, bits, "derived", source, layers)


def _changed(network: Network, accounting: str, label: str, report: EnergyReport) -> Row:
    return _row(replace(network, energy=report), accounting, label, report.compute_pj)


def _float_pj(network: Network, weights: float = 1.0) -> tuple[float, float]:
    """Compute and movement per token in 32-bit floats; of the Linears' weights the share that is read."""
    compute = movement = 0.0
    for block in network.energy.blocks:
        for action in as_floats(action for action, _ in block.items):
            pj = action.count * network.energy.table.pj(action)
            if not action.is_memory:
                compute += pj
            else:
                movement += pj * (weights if block.kind == "Linear" and action.what == "weights" else 1.0)
    return compute, movement


def _floats(network: Network) -> Row:
    compute, movement = (pj * network.tokens_per_character for pj in _float_pj(network))
    source = f"the same actions in 32-bit floats x {network.energy.table.source}"
    return Row("as built", "32-bit floats", compute, movement, network.bits_per_character, "derived", source)


def _paper(network: Network, rate: float, how: str) -> Row:
    """The paper has no data movement: what is added is that of the floats, weights of silent inputs not read."""
    compute = paper.per_token(*network.geometry, network.context, rate)["spiking_pj"]
    movement = _float_pj(network, weights=rate)[1]
    scale = network.tokens_per_character
    label = f"R = {rate:.3g}, {how}"
    source = f"{paper.SOURCE}; data movement is added here"
    return Row("paper", label, compute * scale, movement * scale, network.bits_per_character, "derived", source)


def _spike_driven(spiking: Network, twin: Network, rate: float, evens: list[BreakEven]) -> Row:
    """The twin with its Linears replaced; its loss is not known."""
    by = {even.movement: even for even in evens if even.time_steps == 1}
    compute = twin.energy.compute_pj - by["none"].twin_pj + by["none"].spiking_pj(rate)
    total = twin.energy.total_pj - _linears_pj(twin) + by["sparse"].spiking_pj(rate)
    scale = spiking.tokens_per_character
    label = f"spike-driven, R = {rate:.3g}, projected"
    source = (
        "a LIF before every Linear, of a network that was not trained: at the canonical model's rate, its loss unknown"
    )
    return Row("zeros skipped", label, compute * scale, (total - compute) * scale, None, "projected", source)


def _linears(network: Network) -> list[Block]:
    return [block for block in network.dataflow.blocks if block.kind == "Linear"]


def _linears_pj(network: Network) -> float:
    return sum(block.compute_pj + block.memory_pj for block in network.energy.blocks if block.kind == "Linear")


def result(spiking: Network, twin: Network, rows: list[Row], evens: list[BreakEven]) -> dict[str, Any]:
    """``accountings.json``: everything as plain data."""
    layers, channels = spiking.geometry
    found = {
        "characters": spiking.characters,
        "tokens": spiking.energy.tokens,
        "geometry": {"layers": layers, "channels": channels, "context": spiking.context},
        "rows": [row.to_json() for row in rows],
        "spike_driven": spiking.spike_driven,
        "break_even": [even.to_json() for even in evens],
        "firing": spiking.firing,
        "networks": {"spiking": _figures(spiking), "twin": _figures(twin)},
        "paper": {
            "source": paper.SOURCE,
            "stated": paper.STATED,
            "rows": paper.rederived(),
            "findings": paper.findings(),
            "explanations": paper.explanations(),
            "this_geometry": paper.per_token(layers, channels, spiking.context, paper.RATE),
        },
        "table": {"node": spiking.energy.table.node, "source": spiking.energy.table.source},
    }
    return {**found, "conclusions": conclusions(found)}


def _figures(network: Network) -> dict[str, Any]:
    energy = network.energy
    return {
        "bits_per_character": network.bits_per_character,
        "compute_pj_per_token": energy.compute_pj,
        "memory_pj_per_token": energy.memory_pj,
        "scaled_compute_pj_per_token": energy.scaled_compute_pj,
        "macs_per_token": energy.macs,
        "weights": sum(block.channels_in * block.channels_out for block in _linears(network)),
        "skippable_macs_per_token": energy.skippable_macs,
        "skippable_pj_per_token": energy.skippable_pj,
        "neurons_pj_per_token": sum(b.compute_pj + b.memory_pj for b in energy.blocks if b.kind == "LIF"),
        "sparsity": network.firing["sparsity"],
        "shares": energy.shares(),
    }


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """What the figures say."""
    spiking, twin = result["networks"]["spiking"], result["networks"]["twin"]
    both = [n["compute_pj_per_token"] + n["memory_pj_per_token"] for n in (spiking, twin)]
    bits, energy = twin["bits_per_character"] - spiking["bits_per_character"], both[1] / both[0] - 1
    skip, added = (spiking[f"{which}_per_token"] / spiking["weights"] for which in ("skippable_macs", "macs"))
    formula = result["paper"]["this_geometry"]["ratio"]
    built = "as built no matrix reads a spike, and no product is saved"
    if result["spike_driven"]:
        built = f"this network, in which a matrix reads spikes, adds {added:.1%} of its weights for a token"
    lines = [
        f"the paper's formula makes this geometry {formula:.1f} times cheaper than a GPT, by accumulates on spikes; "
        f"{built}",
        f"neurons fire at {result['firing']['rate']:.1%}; without them a character takes "
        f"{bits:+.4f} bits and {energy:+.2%} energy",
    ]
    if skip > 1e-3:
        lines.append(
            f"{skip:.1%} of the products have a zero input ({spiking['skippable_pj_per_token'] / 1e3:,.2f} nJ per "
            "token); this hardware computes them, and they are not subtracted"
        )
    return [*lines, *_factors(result["rows"])]


def _factors(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """This network with its zeros skipped, beside the others, in the layers alone and with all."""
    own, *others = sorted(
        (
            row
            for row in rows
            if row["layers_pj"] is not None and row["accounting"] not in ("as built", "this hardware")
        ),
        key=lambda row: (row["accounting"], row["label"]) != ("zeros skipped", "this network"),
    )
    for row in others:
        layers, whole = (row[which] / own[which] for which in ("layers_pj", "total_pj"))
        bits = own["bits_per_character"] - row["bits_per_character"]
        yield (
            f"{row['accounting']}, {row['label']}: {layers:.2f} times what this network spends with its zeros skipped, "
            f"in the layers; {whole:.2f} times with embedding and head; this network has {bits:+.4f} bits per character"
        )
