"""Text to a quantized checkpoint."""

from __future__ import annotations

import json
from typing import Any

from spikegpt_hls.cli.request import Request

DEFAULTS = {"data": "python", "steps": None, "seed": 0, "weight_bits": 8, "text_sha256": None}


def make(request: Request) -> dict[str, Any]:
    """The metrics of the checkpoint, trained now if it is not what was asked for."""
    workspace = request.workspace
    outputs = (workspace.checkpoint, workspace.metrics)
    step = request.step("train-qat", (), outputs, DEFAULTS)
    if not step.up_to_date or _text_changed(request, step.recorded):
        from spikegpt_hls.quant.train_qat import train_qat

        settings = {name: value for name, value in step.settings.items() if name != "text_sha256"}
        metrics = train_qat(workspace.folder, workspace.preset, console=request.console, **settings)
        done = Request(workspace, {**settings, "text_sha256": metrics["text_sha256"]})
        done.step("train-qat", (), outputs, DEFAULTS).done()
    return dict(json.loads(workspace.metrics.read_text()))


def _text_changed(request: Request, recorded: dict[str, Any]) -> bool:
    """Whether a text that was named holds something else than what was trained on."""
    if request.options.get("data") is None:
        return False
    from spikegpt_hls.model import text

    return bool(text.digest(text.load(request.options["data"])) != recorded["settings"].get("text_sha256"))


def show(request: Request, metrics: dict[str, Any]) -> None:
    """The losses, float and integer, in nats and bits."""
    from rich.table import Table

    table = Table("validation loss", "nats per byte", "bits per byte")
    for kind, label in (("float", "float, quantizers off"), ("integer", "integer, what the hardware computes")):
        table.add_row(label, *(f"{metrics[f'val_{unit}_{kind}']:.4f}" for unit in ("nats", "bits")))
    request.console.print(table)
    difference = metrics["val_nats_integer"] / metrics["val_nats_float"] - 1
    request.say(f"integer differs from float by {difference:+.2%}; measured over {metrics['validation']}")
    request.say(
        f"text {metrics['data']}, {metrics['parameters']:,} parameters, {metrics['weight_bits']}-bit weights, "
        f"{metrics['steps']} steps, seed {metrics['seed']}"
    )
    request.say(f"checkpoint: {request.workspace.checkpoint}")
