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
    """The table of the blocks; what it was made of."""
    from rich.table import Table

    made: dict[str, Any] = json.loads(request.workspace.resources.read_text())
    table = Table("block", *COLUMNS.values(), title=f"{made['family']}, {made['tool']}")
    for name, row in {**made["blocks"], "total": made["total"]}.items():
        table.add_row(name, *(f"{row[key]:g}" for key in COLUMNS))
    request.console.print(table)
    return made
