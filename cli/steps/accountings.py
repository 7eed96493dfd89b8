"""Four accountings of what a character costs, for a network and its twin without neurons, on the same held-out text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console

from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.steps import at_work, report
from spikegpt_hls.cli.workspace import ACCOUNTINGS, Workspace
from spikegpt_hls.sim.energy.energy_table import EnergyTable

SPIKE_DRIVEN = "spike-driven"


@dataclass(frozen=True)
class EnergyCosts(Settings):
    """What one action of the hardware costs."""

    remembered: ClassVar[bool] = False

    energy: str | None = setting(
        None,
        "A table of energies per action, in the form of the default.",
        example="mine.json",
        otherwise="sim/energy/energy_table.json",
    )


@dataclass(frozen=True)
class Accounting(EnergyCosts):
    """What is accounted, and over how much text."""

    remembered: ClassVar[bool] = True
    forgotten: ClassVar[tuple[str, ...]] = ("energy", "twin", "canonical")

    characters: int | None = setting(
        None, "Held-out characters to run over.", click.IntRange(1), 2000, f"{at_work.CHARACTERS}, or all there are"
    )
    twin: str | None = setting(
        None,
        "Folder of the twin without neurons, where it was trained already.",
        example="build-twin",
        otherwise="twin/ in the preset's",
    )
    canonical: str | None = setting(
        None,
        "Folder of the canonical network, beside a spike-driven one, where it was trained already.",
        example="build-canonical",
        otherwise="canonical/ in the preset's",
    )


def rivals(place: Workspace, settings: Accounting) -> dict[str, Workspace]:
    """Where the networks lie that this one is compared with: in the folders that are named, or within ``place``."""
    named = {"twin": settings.twin}
    if spike_driven(place):
        named["canonical"] = settings.canonical
    return {
        name: Workspace(Path(folder) / place.preset if folder else place.folder / name, place.preset, place.target)
        for name, folder in named.items()
    }


def spike_driven(place: Workspace) -> bool:
    """Whether the network that was trained has that placement; one of a version before has none to name."""
    try:
        return bool(json.loads(place.metrics.read_text()).get("placement") == SPIKE_DRIVEN)
    except (OSError, ValueError):
        return False


def digests(place: Workspace, settings: Accounting, named: Mapping[str, Any]) -> dict[str, str]:
    """Of the rivals, and of the table of energies."""
    found = {
        f"{rival}: {name}": digest
        for rival, other in rivals(place, settings).items()
        for name, digest in report.network(other).items()
    }
    return found | ({"energy": record.of_file(Path(settings.energy))} if settings.energy else {})


def run(place: Workspace, settings: Accounting, console: Console) -> None:
    """``accountings.json`` in the preset's folder; both networks are there."""
    from spikegpt_hls.sim.energy.accountings import accountings, result

    table, networks = EnergyTable.read(settings.energy), {}
    for name, which in {"network": place, **rivals(place, settings)}.items():
        with console.status(f"accountings: the {name} over held-out text"):
            networks[name] = at_work.network(which, console, settings.characters, table)
    spiking, without = networks["network"], networks["twin"]
    rows, evens = accountings(spiking, without, networks.get("canonical"))
    made = {"preset": place.preset, **result(spiking, without, rows, evens)}
    write_json(place.path(ACCOUNTINGS), {**made, "made_of": report.network(place)})
