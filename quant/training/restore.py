"""What belongs to a checkpoint: its losses on held-out text, and its tokenizer; written with it, or made again from it.

A checkpoint that was trained here keeps both in its header. One that was not is measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from spikegpt_hls.host.builds import sha256
from spikegpt_hls.model.config import Recipe, preset
from spikegpt_hls.model.corpus import text, tokens
from spikegpt_hls.model.corpus import tokenizer as tokenizers
from spikegpt_hls.model.corpus.text import Text
from spikegpt_hls.model.corpus.tokenizer import Tokenizer
from spikegpt_hls.model.corpus.tokens import Corpus
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically
from spikegpt_hls.model.spikegpt import parameter_count
from spikegpt_hls.model.training import distributed
from spikegpt_hls.model.training.evaluate import nats_per_token, windows
from spikegpt_hls.model.training.events import Events
from spikegpt_hls.model.training.firing import Firing, Layer, warning
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.storage import load_network, versions

HEADER = "metrics"  # the key of a checkpoint's header that holds its metrics, as JSON text
FILE = "metrics.json"
OF = "checkpoint_sha256"  # the key of metrics.json that says whose they are


def write(checkpoint: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """``metrics.json`` beside the checkpoint that it is of; its content."""
    found = {**metrics, OF: sha256(checkpoint)}
    write_atomically(checkpoint.with_name(FILE), (json.dumps(found, indent=1) + "\n").encode())
    return found


def restore(
    checkpoint: Path, preset_name: str, data: str | None, tokenizer: str | None, default: str, console: Console
) -> None:
    """Write ``metrics.json`` and ``tokenizer.json`` where they are not of ``checkpoint``.

    ``data`` and ``tokenizer`` are named by the user, or None; ``default`` is the text where the header names none.
    ModelError where the checkpoint, its text or its tokenizer cannot be used.
    """
    network, header = load_network(checkpoint)
    source = text.find(data or _text_of(header) or default)
    used = _tokenizer(checkpoint, header, network.config.vocabulary, tokenizer, source)
    if _read(checkpoint.with_name(tokenizers.FILE)) != used.content:
        tokenizers.save(used, checkpoint.parent)
    if data is None and isinstance(kept := header.get(HEADER), str):
        write(checkpoint, json.loads(kept))
        return
    if _belongs(checkpoint, header, data):
        return
    recipe = preset(preset_name).recipe
    corpus = tokens.prepare(source, used, checkpoint.parent, console)
    console.print(f"measuring {checkpoint.name}, {header_says(network)}, on {source.name}", markup=False)
    described = {
        "preset": preset_name, "data": source.name, "text_sha256": source.sha256, "text_bytes": source.bytes,
        "text_tokens": len(corpus.ids), "tokenizer_sha256": used.sha256, "weight_bits": network.weight_bits,
        "activation_bits": network.activation_bits, "seed": None, "steps": 0, "steps_float": 0, "loss_curve": [],
        "versions": versions(),
    }  # fmt: skip
    write(checkpoint, measure(network, corpus, recipe, console) | described)


def header_says(network: QuantSpikeGPT) -> str:
    """The geometry in words."""
    config = network.config
    return f"{config.layers} layers, {config.channels} channels, vocabulary {config.vocabulary}"


def _belongs(checkpoint: Path, header: Mapping[str, Any], data: str | None) -> bool:
    """Whether ``metrics.json`` is of this checkpoint; one of the version before says so by what it has in common."""
    try:
        found = json.loads(_read(checkpoint.with_name(FILE)))
    except ValueError:
        return False
    if not isinstance(found, dict) or (data is not None and found.get("data") != data):
        return False
    if OF in found:
        return bool(found[OF] == sha256(checkpoint))
    common = ("text_sha256", "tokenizer_sha256", "seed", "versions")
    return all(name in header and header[name] == found.get(name) for name in common)


def _text_of(header: Mapping[str, Any]) -> str | None:
    data = header.get("data")
    return data if isinstance(data, str) else None


def _tokenizer(
    checkpoint: Path, header: Mapping[str, Any], vocabulary: int, named: str | None, source: Text
) -> Tokenizer:
    """The header's, else the named one, else the one beside it, else bytes: the first that is asked for must fit."""
    if tokenizers.HEADER in header or "tokenizer_sha256" in header:
        found = tokenizers.beside(checkpoint, header)
    elif named is not None:
        found = tokens.choose(named, source)
    elif checkpoint.with_name(tokenizers.FILE).exists():
        found = tokenizers.load(checkpoint.with_name(tokenizers.FILE))
    else:
        found = tokenizers.ByteTokenizer()
    if found.vocabulary != vocabulary:
        raise ModelError(
            f"{checkpoint.name} has a vocabulary of {vocabulary}, its tokenizer one of {found.vocabulary}: name the "
            "right one as tokenizer="
        )
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def measure(network: QuantSpikeGPT, corpus: Corpus, recipe: Recipe, console: Console | None = None) -> dict[str, Any]:
    """Held-out loss of the integers, and of the same weights in the float SpikeGPT with all quantizers off."""
    _, held_out = corpus.split(recipe.context)
    config, unit = network.config, corpus.tokenizer.unit
    counted = len(windows(held_out, recipe.context, recipe.validation_windows))
    which = "all" if recipe.validation_windows is None else "evenly spaced"
    losses, neurons, counts = {}, dict[str, dict[str, Layer]](), {}
    for kind, model in (("float", network.float_twin().to(distributed.device())), ("integer", network)):
        firing, events = Firing(model), Events(model)
        with firing.watching(), events.watching():
            losses[kind] = nats_per_token(
                model.eval(), held_out, recipe.context, recipe.validation_windows, f"evaluating, {kind}", console
            )
        neurons[kind] = firing.layers()
        counts[kind] = events
    return {
        "parameters": parameter_count(network.float_twin()),
        "layers": config.layers,
        "channels": config.channels,
        "vocabulary": config.vocabulary,
        "neurons": config.neurons,
        "placement": config.placement,
        "hidden": config.hidden,
        "events_share": counts["integer"].share(),
        "events_share_with_head": counts["integer"].share(head=True),
        "events": {kind: events.rates() for kind, events in counts.items()},
        "events_per_token": counts["integer"].per_token(),
        "context": recipe.context,
        "unit": unit,
        "validation_windows": counted,
        "validation": f"{which} {counted} windows of {recipe.context} held-out {unit}s, each from a fresh state",
        **{f"val_nats_{kind}": loss for kind, loss in losses.items()},
        **{f"val_bits_{kind}": loss / math.log(2) for kind, loss in losses.items()},
        "firing": {kind: {name: asdict(layer) for name, layer in layers.items()} for kind, layers in neurons.items()},
        "warning": warning(neurons["integer"]),
    }
