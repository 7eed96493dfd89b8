"""``resources.json`` of a target, shown."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from spikegpt_hls.cli.workspace import Workspace

COLUMNS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram36": "BRAM36"}


def found(place: Workspace) -> dict[str, Any] | None:
    """``resources.json`` where this target has one."""
    path = place.resources
    return json.loads(path.read_text()) if path.exists() else None


def show(place: Workspace, console: Console) -> dict[str, Any]:
    """The table of the blocks and that of the parts which the design fits; what they were made of."""
    from rich.table import Table

    from spikegpt_hls.sim.parts import fits, parts, shares

    made: dict[str, Any] = json.loads(place.resources.read_text())
    routed = {"fmax_mhz": "MHz"} if any("fmax_mhz" in row for row in made["blocks"].values()) else {}
    table = Table("block", *COLUMNS.values(), *routed.values(), title=f"{made['family']}, {made['tool']}")
    for name, row in {**made["blocks"], "total": made["total"]}.items():
        table.add_row(name, *(f"{row[key]:g}" if key in row else "" for key in (*COLUMNS, *routed)))
    console.print(table)
    table = Table("part", *COLUMNS.values(), "fits", title="of named parts, on paper")
    for part in parts(made["family"]):
        used = shares(made["total"], part)
        table.add_row(part.name, *(f"{used[key]:.0%}" for key in COLUMNS), "yes" if fits(made["total"], part) else "no")
    console.print(table)
    return made
