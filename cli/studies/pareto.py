"""A picture of a search: every pair of objectives, the points that no other beats in colour, what they are on hover."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

LABELS = {"bits": "bits per token", "tokens_per_s": "tokens/s", "area": "area", "energy": "nJ per token"}


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One file that opens without a network."""
    from plotly import graph_objects

    from spikegpt_hls.model.files import write_atomically

    drawing = graph_objects.Figure()
    for best, label, colour in ((False, "beaten", "#9aa5b1"), (True, "beaten by no other", "#d1662d")):
        shown = [row for row in rows if row["pareto"] == best]
        drawing.add_splom(
            dimensions=[{"label": text, "values": [row[name] for row in shown]} for name, text in LABELS.items()],
            text=[row["name"] for row in shown],
            name=label,
            marker={"color": colour, "size": 7},
            diagonal_visible=False,
            showupperhalf=False,
        )
    drawing.update_layout(title="Every trial, objective against objective", template="simple_white", height=900)
    write_atomically(path, drawing.to_html(include_plotlyjs=True).encode())
