"""Four accountings of what a character costs, for a network and its twin without neurons, on the same held-out text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import digests, write_json
from spikegpt_hls.cli.steps import at_work, folding, hls, train
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.sim.energy import energy_table
from spikegpt_hls.sim.energy.energy_table import EnergyTable
from spikegpt_hls.sim.errors import SimulationError

#: Another version of the accountings makes other figures.
SOURCES = (Path(energy_table.__file__).parents[1],)
DEFAULTS = {"characters": 10_000}
FILE = "accountings.json"
_MOVEMENT = {
    "none": "none: compute alone",
    "sparse": "the weights of zeros are not read",
    "dense": "all weights are read",
}


def make(request: Request) -> dict[str, Any]:
    """``accountings.json`` in the preset's folder, and the table; both networks are trained where they are missing."""
    table = EnergyTable.read(request.options.get("energy"))
    hls.make(request)
    other = twin(request)
    hls.make(other)
    path = request.workspace.folder / FILE
    step = request.step("accountings", _inputs(request, other), (path,), DEFAULTS)
    if not step.up_to_date:
        made = _made(request, other, step.settings["characters"], table)
        write_json(path, {**made, "made_of": _network(request)})
        step.done()
    result: dict[str, Any] = json.loads(path.read_text())
    show(request, result, path)
    return result


def found(request: Request) -> dict[str, Any] | None:
    """What was made before, where it is of the network as it is now."""
    path = request.workspace.folder / FILE
    made: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return made if made.get("made_of") == _network(request) else None


def _network(request: Request) -> dict[str, str]:
    return digests((request.workspace.checkpoint, request.workspace.rtl / "dataflow.json"))


def twin(request: Request) -> Request:
    """The request for the same network without neurons, in a workspace of its own: ``twin=FOLDER``, or within this.

    One that was trained before stays as it is; SimulationError where it was not trained alike.
    """
    workspace, named = request.workspace, request.options.get("twin")
    folder = Path(named) / workspace.preset if named else workspace.folder / "twin"
    options = {**request.options, **dict.fromkeys(train.DEFAULTS), **folding.recorded(request)}
    other = replace(request, workspace=Workspace(folder, workspace.preset, workspace.target), options=options)
    alike = {**train.settings(request), "neurons": "none"}
    if not (named and other.workspace.checkpoint.exists()):
        return replace(other, options={**options, **alike})
    found = train.settings(other)
    if unlike := [f"{name} is {found[name]}, not {alike[name]}" for name in alike if found[name] != alike[name]]:
        raise SimulationError(f"the network in {folder} was not trained alike, as a twin: {', '.join(unlike)}")
    return other


def _inputs(request: Request, other: Request) -> tuple[Path, ...]:
    named = request.options.get("energy")
    both = (request.workspace, other.workspace)
    files = [file for w in both for file in (w.checkpoint, w.rtl / "dataflow.json")]
    return (*files, *SOURCES, *([Path(named)] if named else []))


def _made(request: Request, other: Request, characters: int, table: EnergyTable) -> dict[str, Any]:
    from spikegpt_hls.sim.energy.accountings import accountings, result

    networks = []
    for which, name in ((request, "network"), (other, "twin")):
        with request.console.status(f"accountings: the {name} over {characters:,} held-out characters"):
            networks.append(at_work.network(which, characters, table))
    spiking, without = networks
    rows, evens = accountings(spiking, without)
    return {"preset": request.workspace.preset, **result(spiking, without, rows, evens)}


def show(request: Request, result: Mapping[str, Any], path: Path) -> None:
    title = f"nJ per character, over {result['characters']:,} held-out characters; {result['table']['node']}"
    table = Table("accounting", "", "compute", "data movement", "both", "bits per character", title=title)
    for row in result["rows"]:
        figures = (f"{row[name] / 1e3:,.2f}" for name in ("compute_pj", "movement_pj", "total_pj"))
        bits = row["bits_per_character"]
        table.add_row(row["accounting"], row["label"], *figures, "" if bits is None else f"{bits:.4f}")
    request.console.print(table)
    request.say("energies are derived: counted actions x cited constants (docs/energy.md); bits and rates are measured")
    request.console.print(_break_even(result))
    request.console.print(_firing(result["firing"]))
    for line in result["conclusions"]:
        request.say(line)
    request.say(f"{path}")


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
