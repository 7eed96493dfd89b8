"""Text to a quantized checkpoint; and what belongs to a checkpoint, made again from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace

POSITIVE = click.FloatRange(0, min_open=True)
PRESET = "the preset's own"
WEIGHTS = ("*.pth", "*.pt", "*.bin")  # what other programs call checkpoints


@dataclass(frozen=True)
class Training(Settings):
    """What to train on, which network, and how."""

    data: str = setting(
        "python",
        "Text to train on: a file, or python (its language reference), or shakespeare, enwik8, text8, wikitext2, which "
        "are downloaded once and checked.",
        example="my.txt",
    )  # fmt: skip
    tokenizer: str = setting(
        "bytes", "What a token is: bytes, characters, or a Hugging Face tokenizers file (JSON).", example="characters"
    )
    steps: int | None = setting(None, "Training steps in all.", click.INT, 2000, PRESET)
    qat_steps: int | None = setting(
        None,
        "How many of these steps, the last ones, have quantizers.",
        click.IntRange(0),
        500,
        "the preset's share of the steps",
    )
    seed: int = setting(0, "Seed of training; with a prompt, of the sampler.", click.IntRange(0), 1)
    weight_bits: str = setting(
        "8", "Bits of weights: 8, 4 or 2 (ternary) for all layers, or by layer.", example="4,head=8,blocks.0.*=2"
    )
    activation_bits: str = setting("8", "Bits of activations: 8 to 4 for all layers, or by layer.", example="6")
    lr: float | None = setting(None, "Highest learning rate of the schedule.", POSITIVE, 0.004, PRESET)
    qat_lr: float | None = setting(None, "Learning rate where quantizers come in.", POSITIVE, 0.001, PRESET)
    precision: str | None = setting(
        None, "Numbers of training's matrix products: float32, or bfloat16.", example="bfloat16", otherwise=PRESET
    )
    accumulate: int | None = setting(
        None, "Batches whose gradients are added up to one step.", click.IntRange(1), 4, PRESET
    )
    window: int | None = setting(None, "Tokens of a window that training reads.", click.IntRange(2), 256, PRESET)
    rows: int | None = setting(None, "Windows of a batch.", click.IntRange(1), 4, PRESET)
    neurons: str | None = setting(
        None, "lif (spiking), or none: the twin that does not spike.", example="none", otherwise="lif"
    )
    placement: str = setting(
        "canonical",
        "Where neurons stand: canonical (the released network), or spike-driven: in front of every matrix.",
        example="spike-driven",
    )
    hidden: str = setting(
        "squared-relu",
        "What a spike-driven network's hidden layer sends: squared-relu (8 bits, mostly 0), or bits.",
        example="bits",
    )
    formats: str = setting(
        "own",
        "Scales of activations: each edge's own, or shared by those of the same name in all layers (depth=folded).",
        example="shared",
    )
    events: float | None = setting(
        None,
        "Share of the weights in the blocks that training lets a token add, on average.",
        click.FloatRange(0, 1, min_open=True),
        0.08,
        "no limit",
    )
    teacher: str = setting(
        "none", "Whose logits training follows: none, twin (trained first, and kept), or a file.", example="twin"
    )
    init: str | None = setting(
        None,
        "A checkpoint to start from (.safetensors, .pth, .pt, .bin, or the index of several files), with its "
        "tokenizer.json beside it; steps=0 only calibrates it.",
        example="SpikeGPT-216M.pth",
        otherwise="random weights",
    )
    layers: int | None = setting(None, "Number of blocks.", click.IntRange(1), 3, PRESET)
    channels: int | None = setting(
        None, "Channels of the residual stream, the network's width.", click.IntRange(1), 96, PRESET
    )


def check(place: Workspace, settings: Training) -> None:
    """ModelError for a text or a tokenizer that cannot be used, before PyTorch is loaded, which takes seconds."""
    from spikegpt_hls.model import config
    from spikegpt_hls.model.corpus import text, tokens
    from spikegpt_hls.model.errors import ModelError

    chosen = config.preset(place.preset)
    source = text.find(settings.data)
    tokens.choose(settings.tokenizer, source)
    neurons = settings.neurons or config.NEURONS[0]
    replace(chosen.config, neurons=neurons, placement=settings.placement, hidden=settings.hidden)
    if settings.init is not None and not Path(settings.init).is_file():
        raise ModelError(f"no checkpoint at {settings.init}")
    if settings.teacher not in ("twin", "none") and not Path(settings.teacher).is_file():
        raise ModelError(f"there is no teacher at {settings.teacher}: twin trains one, none does without")
    window = settings.window or chosen.recipe.context
    if source.bytes < tokens.smallest(window):  # a token is a byte at least
        raise ModelError(tokens.too_short(f"{source.bytes} bytes", window))


def run(place: Workspace, settings: Training, console: Console) -> None:
    """``checkpoint.safetensors``, ``metrics.json``, ``tokenizer.json``."""
    from spikegpt_hls.quant.training.train_qat import train_qat

    _name_other_weights(place, console)
    train_qat(place.folder, place.preset, console=console, **settings.as_json())


def _name_other_weights(place: Workspace, console: Console) -> None:
    for path in sorted(path for pattern in WEIGHTS for path in place.folder.glob(pattern)):
        say(console, f"{path} is not read: SpikeGPT.from_pretrained loads such weights (docs/howto.md)")


def digests(place: Workspace, settings: Training, named: Mapping[str, Any]) -> dict[str, str]:
    """Of the text and the tokenizer, where one of them is named: a text that has gone is no reason to train again."""
    start = {} if named.get("init") is None else {"init_sha256": of_checkpoint(Path(named["init"]))}
    if named.get("data") is None and named.get("tokenizer") is None:
        return start
    from spikegpt_hls.model.corpus import text, tokens

    source = text.find(settings.data)
    used = tokens.choose(settings.tokenizer, source)
    return {**start, "text_sha256": source.sha256, "tokenizer_sha256": used.sha256}


def of_checkpoint(path: Path) -> str:
    """The digest of a checkpoint; of one in several files, those of all."""
    if not path.is_file() or path.suffix != ".json":
        return record.of_file(path)
    from spikegpt_hls.model.weights import files

    return " ".join(record.of_file(part) for part in files(path))


def metrics(place: Workspace) -> dict[str, Any]:
    return dict(json.loads(place.metrics.read_text()))


def restore(place: Workspace, settings: Training, named: Mapping[str, Any], console: Console) -> None:
    """``metrics.json`` and ``tokenizer.json`` from the checkpoint: what its header keeps; where it keeps none, the
    tokenizer that lies beside it or ``settings`` name, and losses measured now."""
    from spikegpt_hls.quant.training import restore

    _name_other_weights(place, console)
    restore.restore(place.checkpoint, place.preset, named.get("data"), named.get("tokenizer"), settings.data, console)
