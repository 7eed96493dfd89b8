"""Four accountings of what a character costs, for a network and its twin without neurons, on the same held-out text."""

from __future__ import annotations

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
    forgotten: ClassVar[tuple[str, ...]] = ("energy", "twin")

    characters: int = setting(10_000, "Held-out characters to run over.", click.IntRange(1), 2000)
    twin: str | None = setting(
        None,
        "Folder of the twin without neurons, where it was trained already.",
        example="build-twin",
        otherwise="twin/ in the preset's",
    )


def twin(place: Workspace, settings: Accounting) -> Workspace:
    """Where the same network without neurons lies: ``twin=FOLDER``, or within ``place``."""
    folder = Path(settings.twin) / place.preset if settings.twin else place.folder / "twin"
    return Workspace(folder, place.preset, place.target)


def digests(place: Workspace, settings: Accounting, named: Mapping[str, Any]) -> dict[str, str]:
    """Of the twin, and of the table of energies."""
    found = {f"twin: {name}": digest for name, digest in report.network(twin(place, settings)).items()}
    return found | ({"energy": record.of_file(Path(settings.energy))} if settings.energy else {})


def run(place: Workspace, settings: Accounting, console: Console) -> None:
    """``accountings.json`` in the preset's folder; both networks are there."""
    from spikegpt_hls.sim.energy.accountings import accountings, result

    table, networks = EnergyTable.read(settings.energy), []
    for which, name in ((place, "network"), (twin(place, settings), "twin")):
        with console.status(f"accountings: the {name} over {settings.characters:,} held-out characters"):
            networks.append(at_work.network(which, console, settings.characters, table))
    spiking, without = networks
    rows, evens = accountings(spiking, without)
    made = {"preset": place.preset, **result(spiking, without, rows, evens)}
    write_json(place.path(ACCOUNTINGS), {**made, "made_of": report.network(place)})
