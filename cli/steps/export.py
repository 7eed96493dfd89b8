"""A checkpoint to QONNX, and the golden vectors that everything later is compared with."""

from __future__ import annotations

import json

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import train

DEFAULTS = {"tokens": 512, "sequences": 3}


def make(request: Request) -> None:
    """``model.onnx``, ``model_step.onnx`` and ``vectors.npz``."""
    train.make(request)
    workspace = request.workspace
    outputs = (workspace.onnx, workspace.onnx.with_name("model_step.onnx"), workspace.vectors)
    step = request.step("export", (workspace.checkpoint,), outputs, DEFAULTS)
    if step.up_to_date:
        return
    from spikegpt_hls.model import text
    from spikegpt_hls.quant.export import export
    from spikegpt_hls.quant.storage import load_network
    from spikegpt_hls.quant.vectors import golden

    network, _ = load_network(workspace.checkpoint)
    metrics = json.loads(workspace.metrics.read_text())
    held_out = text.split(text.load(metrics["data"]), metrics["context"])[2]
    settings = step.settings
    with request.console.status("export: QONNX and golden vectors"):
        export(network, workspace.folder)
        golden(network, held_out, workspace.folder, settings["tokens"], settings["sequences"])
    request.say(f"export: {workspace.onnx}, and vectors of {settings['tokens']} held-out tokens")
    step.done()
