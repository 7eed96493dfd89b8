"""``accountings``: what a character costs by four accountings, for a network and its twin without neurons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import ACCOUNT, HLS, TRAIN
from spikegpt_hls.cli.steps.accountings import Accounting, rivals
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import ACCOUNTINGS
from spikegpt_hls.model.config import NEURONS
from spikegpt_hls.model.training.teacher import FILE as TEACHER
from spikegpt_hls.sim.energy.energy_table import EnergyTable
from spikegpt_hls.sim.errors import SimulationError

_MOVEMENT = {
    "none": "none: compute alone",
    "sparse": "the weights of zeros are not read",
    "dense": "all weights are read",
}


def accountings(runner: Runner) -> None:
    """``accountings.json`` in the preset's folder, and the table; both networks are trained where they are missing."""
    EnergyTable.read(runner.told(Accounting).energy)
    runner.make(HLS)
    for rival in rivals_of(runner):
        rival.make(HLS)
    runner.make(ACCOUNT, asked=True)
    path = runner.place.path(ACCOUNTINGS)
    show(json.loads(path.read_text()), path, runner.console)


#: What makes a rival of a network: the settings of its training that differ.
RIVALS: Mapping[str, Mapping[str, Any]] = {
    "twin": {"neurons": "none", "events": None},
    "canonical": {"placement": "canonical", "hidden": "squared-relu", "events": None},
}


def _training(runner: Runner) -> dict[str, Any]:
    """The settings of a training, with neurons that were not named by their name."""
    settings = runner.settings(TRAIN).as_json()
    return {**settings, "neurons": settings["neurons"] or NEURONS[0]}


def rivals_of(runner: Runner) -> Iterator[Runner]:
    """The command for the same network without neurons, in a workspace of its own, and for the canonical one beside a
    spike-driven one.

    One that was trained before stays as it is; SimulationError where it was not trained alike.
    """
    settings: Accounting = runner.settings(ACCOUNT, asked=True)
    hardware = runner.settings(HLS).named()
    for name, place in rivals(runner.place, settings).items():
        alike = {**_training(runner), **RIVALS[name]}
        if alike["teacher"] == "twin":  # one teacher for all
            alike["teacher"] = str(runner.place.folder / TEACHER)
        if not (getattr(settings, name) and place.checkpoint.exists()):
            yield runner.elsewhere(place, {**alike, **_vectors(runner), **hardware})
            continue
        other = runner.elsewhere(place, {**_vectors(runner), **hardware})
        found = _training(other)
        if unlike := [f"{key} is {found[key]}, not {alike[key]}" for key in alike if found[key] != alike[key]]:
            raise SimulationError(
                f"the network in {place.folder} was not trained alike, as a {name}: {', '.join(unlike)}"
            )
        yield other


def _vectors(runner: Runner) -> dict[str, Any]:
    return {name: runner.named[name] for name in ("tokens", "sequences") if name in runner.named}


def show(result: Mapping[str, Any], path: Path, console: Console) -> None:
    title = f"nJ per character, over {result['characters']:,} held-out characters; {result['table']['node']}"
    table = Table("accounting", "", "compute", "data movement", "both", "bits per character", "nJ per bit", title=title)
    for row in result["rows"]:
        figures = (f"{row[name] / 1e3:,.2f}" for name in ("compute_pj", "movement_pj", "total_pj"))
        bits, per_bit = row["bits_per_character"], row["pj_per_bit"]
        last = ("", "") if bits is None else (f"{bits:.4f}", f"{per_bit / 1e3:,.2f}")
        table.add_row(row["accounting"], row["label"], *figures, *last)
    console.print(table)
    say(
        console, "energies are derived: counted actions x cited constants (docs/energy.md); bits and rates are measured"
    )
    console.print(_break_even(result))
    console.print(_firing(result["firing"]))
    for line in result["conclusions"]:
        say(console, line)
    say(console, f"{path}")


def _break_even(result: Mapping[str, Any]) -> Table:
    steps = sorted({even["time_steps"] for even in result["break_even"]})
    title = "break-even firing rate of a spike-driven placement against the twin (projected)"
    table = Table("data movement", *(f"{n} time step{'s' * (n > 1)} a token" for n in steps), title=title)
    for movement, label in _MOVEMENT.items():
        by_steps = {even["time_steps"]: even["rate"] for even in result["break_even"] if even["movement"] == movement}
        table.add_row(label, *(_rate(by_steps[n]) for n in steps))
    return table


def _firing(firing: Mapping[str, Any]) -> Table:
    table = Table("layer", "rate", "dead", "saturated", "tokens to the next spike", title="firing (measured)")
    for name, layer in firing["layers"].items():
        gaps = layer["interval_quantiles"]
        shown = f"median {gaps['0.5']}, nine in ten within {gaps['0.9']}" if gaps else ""
        table.add_row(name, *(f"{layer[key]:.1%}" for key in ("rate", "dead", "saturated")), shown)
    for name, share in firing["sparsity"].items():
        table.add_row(name, "", "", "", f"zeros {share:.1%}")
    return table


def _rate(rate: float) -> str:
    if 0 <= rate <= 1:
        return f"{rate:.1%}"
    return f"none ({rate:.2f})" if rate < 0 else f"any ({rate:.2f})"
