"""The trainings that lie in a build folder: what each lost, and how many events it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikegpt_hls.cli.workspace import METRICS, Workspace


def name(place: Workspace) -> str:
    """A training's name among those of its build folder."""
    return place.folder.name


def runs(place: Workspace) -> list[dict[str, Any]]:
    """Every training of as many layers on the same text in the same tokens, in ``build/*/`` and ``build/*/*/``."""
    root = place.folder.parent
    own = _metrics(place.metrics)
    found = []
    for path in sorted([*root.glob(f"*/{METRICS}"), *root.glob(f"*/*/{METRICS}")]):
        metrics = _metrics(path)
        if "events_share" in metrics and all(metrics.get(key) == own.get(key) for key in ("data", "unit", "layers")):
            known = {key: metrics[key] for key in ("events_share", "val_bits_integer", "channels")}
            found.append({"name": str(path.parent.relative_to(root)), "kind": _kind(metrics), **known})
    return found


def _kind(metrics: dict[str, Any]) -> str:
    if metrics["neurons"] == "none":
        return "no neurons"
    if metrics["placement"] == "canonical":
        return "canonical"
    return f"{metrics['placement']}, hidden {metrics['hidden']}"


def _metrics(path: Path) -> dict[str, Any]:
    """Empty where they cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
