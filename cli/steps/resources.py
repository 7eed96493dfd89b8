"""``resources.json`` of a target, shown."""

from __future__ import annotations

import json
from typing import Any

from spikegpt_hls.cli.request import Request

COLUMNS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram36": "BRAM36"}


def found(request: Request) -> dict[str, Any] | None:
    """``resources.json`` where this target has one."""
    path = request.workspace.resources
    return json.loads(path.read_text()) if path.exists() else None


def show(request: Request) -> dict[str, Any]:
    """The table of the blocks and that of the parts which the design fits; what they were made of."""
    from rich.table import Table

    from spikegpt_hls.sim.parts import fits, parts, shares

    made: dict[str, Any] = json.loads(request.workspace.resources.read_text())
    table = Table("block", *COLUMNS.values(), title=f"{made['family']}, {made['tool']}")
    for name, row in {**made["blocks"], "total": made["total"]}.items():
        table.add_row(name, *(f"{row[key]:g}" for key in COLUMNS))
    request.console.print(table)
    table = Table("part", *COLUMNS.values(), "fits", title="of named parts, on paper")
    for part in parts(made["family"]):
        used = shares(made["total"], part)
        table.add_row(part.name, *(f"{used[key]:.0%}" for key in COLUMNS), "yes" if fits(made["total"], part) else "no")
    request.console.print(table)
    return made
