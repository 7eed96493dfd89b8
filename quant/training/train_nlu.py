"""Sentences in, a quantized classifier and its accuracy out: float training, calibration, then quantizers on.

The folder gets ``checkpoint.safetensors``, its ``tokenizer.json`` and ``metrics.json`` at the very end, each in one
step, so an earlier result stays until a new one is whole. ``training/`` in it keeps what a killed run continues from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from spikegpt_hls.model.classify import nlu
from spikegpt_hls.model.classify.classification import Classification, Sentences, accuracy, majority, set_dropout
from spikegpt_hls.model.classify.nlu import Corpus
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.corpus import tokenizer as tokenizers
from spikegpt_hls.model.corpus.tokenizer import Tokenizer
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.files import write_atomically
from spikegpt_hls.model.spikegpt import SpikeGPT, parameter_count
from spikegpt_hls.model.training.train import Plan, train
from spikegpt_hls.model.training.training_state import forget, resume_folder
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.storage import save_network, versions
from spikegpt_hls.quant.training.calibrate import calibrate
from spikegpt_hls.quant.training.pretrained import pretrained
from spikegpt_hls.quant.training.train_qat import CALIBRATION_BATCHES, CHECKPOINT, METRICS

#: Token ids and labels of sentences.
Labelled = tuple[Sentences, NDArray[np.int64]]
#: The same to ``train``, ``dev`` and ``test`` on.
Sets = dict[str, Labelled]


@dataclass(frozen=True)
class NluRecipe:
    """How a classifier is trained; chosen on the dev sets."""

    layers: int = 1
    channels: int = 128
    batch: int = 64
    epochs: int = 7
    qat_epochs: int = 2
    lr: float = 4e-3
    lr_left: float = 0.25  # share of ``lr`` at the float phase's end: what still moves, and is averaged, overfits less
    qat_lr: float = 1e-3
    weight_decay: float = 0.5
    ema: float = 0.99
    dropout: float = 0.4
    word_dropout: float = 0.5
    smoothing: float = 0.1


def recipe_of(task: str, pretrained: bool = False) -> NluRecipe:
    """Five classes are overfitted sooner than two; pre-trained tokens may be too small to miss half of them."""
    recipe = NluRecipe(epochs=5) if task == "sst5" else NluRecipe()
    return replace(recipe, lr=5e-4, qat_lr=2e-4, word_dropout=0.1) if pretrained else recipe


def train_nlu(
    folder: str | Path,
    task: str,
    data: str | Path,
    fold: int = 0,
    steps: int | None = None,
    seed: int = 0,
    weight_bits: int | str = 8,
    init: str | Path | None = None,
    console: Console | None = None,
    recipe: NluRecipe | None = None,
) -> dict[str, Any]:
    """The metrics that were written.

    ``init`` is a checkpoint whose body is fine-tuned, with its tokenizer beside it; without one the words of the
    training sentences are the vocabulary. ``steps`` in all, a fifth of them with quantizers, replaces the recipe's.
    """
    folder, recipe = Path(folder), recipe or recipe_of(task, init is not None)
    torch.set_num_threads(1)  # these matrices are too small to gain from more, and one thread is reproducible
    corpus = nlu.load(task, data, fold)
    torch.manual_seed(seed)
    model, tokenizer = start(corpus, init, recipe)
    sets: Sets = {name: (nlu.encoded(part, tokenizer), np.array(part.labels)) for name, part in corpus.parts.items()}
    phases = plans(recipe, sets["train"][0], steps, seed)
    identity = {"data_sha256": corpus.sha256, "fold": fold, "tokenizer_sha256": tokenizer.sha256, "init": _digest(init)}
    of_run = {**identity, "plans": [plan.as_json() for plan in phases], "weight_bits": weight_bits, "seed": seed}
    resume = resume_folder(folder, of_run)
    network, curves = _learn(resume, model, sets["train"], phases, weight_bits, recipe, identity, console)
    blocks(network)  # an inexact layer stops here, before anything is written
    metrics = {
        "task": task,
        "data": str(data),
        "data_sha256": corpus.sha256,
        "fold": fold,
        "protocol": corpus.protocol,
        **measure(model.eval(), network, sets, console),
        "init": None if init is None else str(init),
        "tokenizer_sha256": tokenizer.sha256,
        "weight_bits": network.weight_bits,
        "seed": seed,
        "steps": sum(map(len, curves)),
        "steps_float": len(curves[0]),
        "recipe": asdict(recipe),
        "loss_curve": [round(loss, 5) for curve in curves for loss in curve],
        "versions": versions(),
    }
    _write(folder, network, tokenizer, metrics)
    forget(resume)
    return metrics


def start(corpus: Corpus, init: str | Path | None, recipe: NluRecipe) -> tuple[SpikeGPT, Tokenizer]:
    """A classifier to train: new, or with the body of a checkpoint and a new head."""
    if init is None:
        tokenizer: Tokenizer = nlu.word_tokenizer(corpus.train.texts)
        return SpikeGPT(Config(recipe.layers, recipe.channels, tokenizer.vocabulary, corpus.classes)), tokenizer
    body, tokenizer = pretrained(Path(init))
    model = SpikeGPT(replace(body.config, classes=corpus.classes))
    head = {"head.weight": model.head.weight}
    model.load_state_dict(body.state_dict() | head)
    return model, tokenizer


def plans(recipe: NluRecipe, sentences: Sentences, steps: int | None, seed: int) -> tuple[Plan, Plan]:
    """The float phase and the quantized phase."""
    if steps is not None and steps < 2:
        raise ModelError(f"training takes at least 2 steps, not {steps}")
    lengths = [len(sentence) for sentence in sentences]
    epoch = max(len(sentences) // recipe.batch, 1)
    qat_steps = recipe.qat_epochs * epoch if steps is None else max(steps // 5, 1)
    first = Plan(
        steps=recipe.epochs * epoch if steps is None else steps - qat_steps,
        lr=recipe.lr,
        context=round(float(np.mean(lengths)) * (1 - recipe.word_dropout)),  # for tokens per second
        batch=recipe.batch,
        final_lr=recipe.lr * recipe.lr_left,
        weight_decay=recipe.weight_decay,
        seed=seed,
        ema=recipe.ema,
    )
    # another seed, so that the second phase does not repeat the first one's batches
    return first, replace(first, steps=qat_steps, lr=recipe.qat_lr, final_lr=recipe.qat_lr / 100, seed=seed + 1_000_003)


def _learn(
    work: Path,
    model: SpikeGPT,
    examples: Labelled,
    phases: tuple[Plan, Plan],
    weight_bits: int | str,
    recipe: NluRecipe,
    identity: dict[str, Any],
    console: Console | None,
) -> tuple[QuantSpikeGPT, tuple[list[float], list[float]]]:
    """Train ``model`` in place; the quantized network after both phases, and their losses."""
    first, second = (Classification(*examples, plan, recipe.word_dropout, recipe.smoothing) for plan in phases)
    whole = Classification(*examples, first.plan)
    network = QuantSpikeGPT(model.config, weight_bits)
    identity |= {"config": asdict(model.config), "recipe": asdict(recipe)}
    set_dropout(model, recipe.dropout)
    curve_float = train(model, first, first.plan, work / "float.safetensors", identity, "float", console)
    network.warm_start(model)
    calibrate(network, (whole.batch(step)[0] for step in range(CALIBRATION_BATCHES)))
    set_dropout(network, recipe.dropout)
    identity |= {"weight_bits": network.weight_bits, "float": first.plan.as_json()}
    curve_qat = train(network, second, second.plan, work / "qat.safetensors", identity, "qat", console)
    return network.eval(), (curve_float, curve_qat)


def measure(model: SpikeGPT, network: QuantSpikeGPT, sets: Sets, console: Console | None = None) -> dict[str, Any]:
    """Percent right of the float network before quantization, of the integers, and of the most frequent label."""
    config = network.config
    found: dict[str, Any] = {f"sentences_{name}": len(labels) for name, (_, labels) in sets.items()}
    for name in ("dev", "test"):
        found[f"{name}_accuracy_majority"] = majority(sets["train"][1], sets[name][1])
        found[f"{name}_accuracy_float"] = accuracy(model, *sets[name], f"{name}, float", console)
        found[f"{name}_accuracy_integer"] = accuracy(network, *sets[name], f"{name}, integer", console)
    return {
        "parameters": parameter_count(model),
        "layers": config.layers,
        "channels": config.channels,
        "vocabulary": config.vocabulary,
        "classes": config.classes,
        **found,
    }


def _write(folder: Path, network: QuantSpikeGPT, tokenizer: Tokenizer, metrics: dict[str, Any]) -> None:
    kept = ("task", "data_sha256", "fold", "tokenizer_sha256", "seed", "versions")
    tokenizers.save(tokenizer, folder)
    header = {key: metrics[key] for key in kept} | {tokenizers.HEADER: tokenizer.content.decode()}
    save_network(network, folder / CHECKPOINT, header)
    write_atomically(folder / METRICS, (json.dumps(metrics, indent=1) + "\n").encode())


def _digest(init: str | Path | None) -> str | None:
    return None if init is None else hashlib.sha256(Path(init).read_bytes()).hexdigest()
