"""The report: one self-contained page and the same figures as JSON.

Every figure says where it comes from: **measured** in this run, **derived** from measured counts and a cited constant
or an exact model, or **projected** to what was not run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.report.headline import headline
from spikegpt_hls.sim.report.pictures import RASTER_TOKENS, pictures
from spikegpt_hls.sim.report.plots.cycles import roofline
from spikegpt_hls.sim.report.plots.style import short
from spikegpt_hls.sim.report.results import Results
from spikegpt_hls.sim.report.summary import summary


def write_report(folder: Path, results: Results) -> Path:
    """``folder/report/index.html``, whose path is returned, and ``folder/report.json``; each whole or not at all."""
    content = summary(results)
    page = render(results, content)
    _write(folder / "report" / "index.html", page)
    _write(folder / "report.json", json.dumps(content, indent=1) + "\n")
    return folder / "report" / "index.html"


SHOWN = ("LIF", "WKV", "LayerNorm")


def verification(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows for the layers with state, the norms and the logits; the other blocks are one row together."""
    rows, others = [], {"name": "all other blocks", "kind": "", "compared": 0, "mismatches": 0}
    for name, trace in content["verification"].items():
        kind = trace.get("kind", "")
        if kind in SHOWN or name == "head" or not kind:
            rows.append({"name": name, "kind": kind, **trace})
        else:
            others["compared"] += trace["compared"]
            others["mismatches"] += trace["mismatches"]
    return rows + [others] * bool(others["compared"])


def render(results: Results, content: Mapping[str, Any]) -> str:
    """The page as text, plotly within it."""
    return _page(
        "page.html",
        results=results,
        content=content,
        figures=headline(results),
        pictures=pictures(results, content),
        verification=verification(content),
        projected=results.projected,
        accounted=f"make accountings preset={results.preset}",
        raster_tokens=min(RASTER_TOKENS, results.energy.tokens),
    )


def write_projected(folder: Path, content: Mapping[str, Any]) -> Path:
    """The page of a size that was not run: ``folder/index.html``, from its ``projected.json``; its path."""
    path = folder / "index.html"
    pictures = {"roofline": Markup(roofline(content["parts"]))}
    _write(path, _page("projected.html", projected=content, pictures=pictures))
    return path


def _page(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("spikegpt_hls.sim.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    return environment.get_template(template).render(plotly=Markup(get_plotlyjs()), **values)


def _write(path: Path, text: str) -> None:
    """A whole file or none: written beside its place and moved there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        raise SimulationError(f"the report cannot be written to {path}: {error.strerror}") from error
