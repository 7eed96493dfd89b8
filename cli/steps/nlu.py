"""Labelled sentences to a quantized classifier and its accuracy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikegpt_hls.cli.request import Request

DEFAULTS = {"data": None, "fold": 0, "steps": None, "seed": 0, "weight_bits": "8", "init": None}
ROWS = {
    "majority": "the most frequent label",
    "float": "float, before quantization",
    "integer": "integer, what the hardware computes",
}


def make(request: Request, task: str) -> dict[str, Any]:
    """The metrics of the classifier, trained now if it is not what was asked for."""
    workspace = request.workspace
    outputs = (workspace.checkpoint, workspace.metrics)
    settings = request.step("nlu", (), outputs, DEFAULTS).settings
    step = request.step("nlu", _inputs(task, settings), outputs, DEFAULTS)
    if not step.up_to_date:
        from spikegpt_hls.quant.training.train_nlu import train_nlu

        train_nlu(workspace.folder, task, console=request.console, **settings)
        step.done()
    return dict(json.loads(workspace.metrics.read_text()))


def _inputs(task: str, settings: dict[str, Any]) -> tuple[Path, ...]:
    """What the result follows from; ModelError for data that cannot be used, before PyTorch is loaded."""
    from spikegpt_hls.model.classify import nlu
    from spikegpt_hls.model.errors import ModelError

    if settings["data"] is None:
        raise ModelError(f"data= is needed: the folder that holds {', '.join(nlu.task(task).files)}")
    nlu.load(task, settings["data"], settings["fold"])
    init = (Path(settings["init"]),) if settings["init"] else ()
    if init and not init[0].is_file():
        raise ModelError(f"no checkpoint at {init[0]}")
    return (*nlu.paths(task, settings["data"]), *init)


def show(request: Request, metrics: dict[str, Any]) -> None:
    """Percent right beside the majority baseline."""
    from rich.table import Table

    table = Table(f"accuracy on {metrics['task']}, %", "test", "dev")
    for kind, label in ROWS.items():
        table.add_row(label, *(f"{metrics[f'{part}_accuracy_{kind}']:.2f}" for part in ("test", "dev")))
    request.console.print(table)
    counts = ", ".join(f"{metrics[f'sentences_{part}']:,} {part}" for part in ("train", "dev", "test"))
    request.say(f"sentences: {counts}; {metrics['protocol']}")
    origin = f"from {metrics['init']}" if metrics["init"] else "from scratch"
    request.say(
        f"{metrics['parameters']:,} parameters, weights of {metrics['weight_bits']} bits, {metrics['steps']:,} steps, "
        f"seed {metrics['seed']}, {origin}"
    )
    request.say(f"checkpoint: {request.workspace.checkpoint}")
