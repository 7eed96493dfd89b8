"""A checkpoint to QONNX, and the golden vectors that everything later is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console

from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Ids


@dataclass(frozen=True)
class Vectors(Settings):
    """How much held-out text everything is verified on."""

    tokens: int = setting(512, "Held-out tokens to verify; with a prompt, how many to generate.", click.IntRange(1), 96)
    sequences: int = setting(
        3, "Sequences that these tokens are cut into; one follows the other without a pause.", click.IntRange(1), 2
    )


def run(place: Workspace, settings: Vectors, console: Console) -> None:
    """``model.onnx``, ``model_step.onnx`` and ``vectors.npz``."""
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.export.vectors import golden
    from spikegpt_hls.quant.storage import load_network

    network, _ = load_network(place.checkpoint)
    ids = held_out(place, console)
    with console.status("export: QONNX and golden vectors"):
        export(network, place.folder)
        golden(network, ids, place.folder, settings.tokens, settings.sequences)
    made = json.loads(place.metrics.read_text())
    say(
        console,
        f"export: {place.onnx}, and vectors of {settings.tokens} held-out tokens; the checkpoint is of "
        f"{made['data']}, {made['layers']} layers, {made['channels']} channels, {made.get('steps', 'unknown')} steps",
    )


def held_out(place: Workspace, console: Console) -> Ids:
    """The tokens that the network has not seen in training."""
    from spikegpt_hls.model import checkpoint
    from spikegpt_hls.model.corpus import text, tokenizer, tokens
    from spikegpt_hls.model.errors import ModelError

    made = json.loads(place.metrics.read_text())
    source = text.find(made["data"])
    if source.sha256 != made["text_sha256"]:
        raise ModelError(f"the text {source.name} has changed since the network was trained on it: train again")
    used = tokenizer.beside(place.checkpoint, checkpoint.header(place.checkpoint))
    return tokens.prepare(source, used, place.folder, console).split(made["context"])[1]
