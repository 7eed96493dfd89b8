"""A checkpoint to QONNX, and the golden vectors that everything later is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import train

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Ids

DEFAULTS = {"tokens": 512, "sequences": 3}


def make(request: Request) -> None:
    """``model.onnx``, ``model_step.onnx`` and ``vectors.npz``."""
    train.make(request)
    workspace = request.workspace
    outputs = (workspace.onnx, workspace.onnx.with_name("model_step.onnx"), workspace.vectors)
    step = request.step("export", (workspace.checkpoint,), outputs, DEFAULTS)
    if step.up_to_date:
        return
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.vectors import golden
    from spikegpt_hls.quant.storage import load_network

    network, header = load_network(workspace.checkpoint)
    ids = held_out(request, header)
    settings = step.settings
    with request.console.status("export: QONNX and golden vectors"):
        export(network, workspace.folder)
        golden(network, ids, workspace.folder, settings["tokens"], settings["sequences"])
    request.say(f"export: {workspace.onnx}, and vectors of {settings['tokens']} held-out tokens")
    step.done()


def held_out(request: Request, header: Mapping[str, Any]) -> Ids:
    """The tokens that the network has not seen in training."""
    from spikegpt_hls.model.corpus import text, tokenizer, tokens
    from spikegpt_hls.model.errors import ModelError

    workspace = request.workspace
    source = text.find(header["data"])
    if source.sha256 != header["text_sha256"]:
        raise ModelError(f"the text {source.name} has changed since the network was trained on it: train again")
    used = tokenizer.beside(workspace.checkpoint, header)
    context = json.loads(workspace.metrics.read_text())["context"]
    return tokens.prepare(source, used, workspace.folder, request.console).split(context)[1]
