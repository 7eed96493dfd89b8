"""Text in, a quantized checkpoint and its cross entropy out: float warm start, calibration, then quantizers on.

The folder gets ``checkpoint.safetensors`` and ``metrics.json`` at the very end, each in one step, so an earlier result
stays until a new one is whole. ``training/`` in it keeps what a killed run continues from.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from threadpoolctl import threadpool_limits
from torch import nn

from spikegpt_hls.host.builds import sha256
from spikegpt_hls.model.config import NEURONS, Config, Recipe, preset
from spikegpt_hls.model.corpus import text, tokens
from spikegpt_hls.model.corpus import tokenizer as tokenizers
from spikegpt_hls.model.corpus.tokenizer import Tokenizer
from spikegpt_hls.model.corpus.tokens import Corpus
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training import distributed
from spikegpt_hls.model.training import teacher as teachers
from spikegpt_hls.model.training.quiet import Quiet
from spikegpt_hls.model.training.train import LanguageModelling, Plan, train
from spikegpt_hls.model.training.training_state import forget, resume_folder
from spikegpt_hls.model.weights import files
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.storage import save_network, versions
from spikegpt_hls.quant.training import restore, taught
from spikegpt_hls.quant.training.calibrate import calibrate
from spikegpt_hls.quant.training.pretrained import check_neurons, pretrained

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.json"
CALIBRATION_BATCHES = 8
ONLY = {"placement": "canonical", "hidden": "squared-relu"}
RAMP = 500  # steps over which the pressure on events grows


def train_qat(
    folder: str | Path,
    preset_name: str = "tiny",
    data: str = text.DEFAULT,
    steps: int | None = None,
    qat_steps: int | None = None,
    seed: int = 0,
    weight_bits: int | str = 8,
    activation_bits: int | str = 8,
    tokenizer: str = tokens.BYTES,
    lr: float | None = None,
    qat_lr: float | None = None,
    precision: str | None = None,
    accumulate: int | None = None,
    window: int | None = None,
    rows: int | None = None,
    neurons: str | None = None,
    placement: str = "canonical",
    hidden: str = "squared-relu",
    formats: str = "own",
    events: float | None = None,
    teacher: str = teachers.NONE,
    layers: int | None = None,
    channels: int | None = None,
    init: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """The metrics that were written; ``steps`` in all, the last ``qat_steps`` with quantizers, ``rows`` windows of
    ``window`` tokens in a batch, replace the recipe's; ``layers`` and ``channels`` the preset's.

    ``init`` is a checkpoint to start from, which has the geometry; with no ``steps`` its grids are calibrated alone.
    Where ``neurons`` are not named they are LIFs, unless the checkpoint reads the text far better without.

    Under ``torchrun`` every process calls this; the first one evaluates and writes, the others wait for it.
    """
    folder, chosen = Path(folder), preset(preset_name)
    kind = replace(chosen.config, neurons=neurons or NEURONS[0], placement=placement, hidden=hidden)
    named: dict[str, Any] = {
        "lr": lr, "qat_lr": qat_lr, "precision": precision, "accumulate": accumulate, "context": window, "batch": rows
    }  # fmt: skip
    recipe = replace(chosen.recipe_of(kind), **{name: value for name, value in named.items() if value is not None})
    phases = plans(recipe, steps, qat_steps, seed, begun=init is not None)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
        threadpool_limits(recipe.threads)  # NumPy's, which the integers run on
    source = text.find(data)
    with distributed.joined():
        body, used = _begin(
            init, None if init and tokenizer == tokens.BYTES else tokens.choose(tokenizer, source), kind
        )
        corpus = distributed.leader_first(lambda: tokens.prepare(source, used, folder, console))
        size: dict[str, Any] = {"layers": layers or kind.layers, "channels": channels or kind.channels}
        config = body.config if body else replace(kind, **size, vocabulary=used.vocabulary)
        if body and (config.layers, config.channels) != (layers or config.layers, channels or config.channels):
            raise ModelError(f"{init} has {config.layers} layers and {config.channels} channels: name no others")
        if body and neurons is None and placement == "canonical":
            check_neurons(body, corpus, phases[0].context, str(init))
        network = QuantSpikeGPT(config, weight_bits, activation_bits, formats)
        identity = _identity(network, corpus, seed)
        if events is not None or teacher != teachers.NONE:
            identity |= {"events": events, "teacher": taught.digest(teacher)}
        if init is not None:
            identity |= {"init": [sha256(path) for path in files(Path(init))]}
        resume = resume_folder(folder, _of_run(identity, network, phases))
        alone = replace(phases[0], steps=sum(p.steps for p in phases if p), lr=recipe.lr, final_lr=recipe.final_lr)
        taught_by = taught.teacher(teacher, folder, resume, corpus, config, alone, console)
        curves = _learn(folder, resume, network, corpus, phases, identity, console, taught_by, events, body)
        metrics = distributed.leader_first(
            lambda: _finish(folder, preset_name, recipe, network, corpus, curves, seed, console, init)
        )
        if distributed.rank() == 0:
            forget(resume)
        return metrics


def _begin(init: str | None, tokenizer: Tokenizer | None, kind: Config) -> tuple[SpikeGPT | None, Tokenizer]:
    """The network to start from, if one is named, and the tokenizer: the one that is named, or that beside it."""
    if init is None:
        assert tokenizer is not None
        return None, tokenizer
    return pretrained(Path(init), tokenizer, neurons=kind.neurons, placement=kind.placement, hidden=kind.hidden)


def _identity(network: QuantSpikeGPT, corpus: Corpus, seed: int) -> dict[str, Any]:
    """What a resume file of the first phase is of, beside its plan; where the version before had no other placement, as
    it said it."""
    config = {name: value for name, value in asdict(network.config).items() if (name, value) not in ONLY.items()}
    digests = {"text_sha256": corpus.text.sha256, "tokenizer_sha256": corpus.tokenizer.sha256}
    return {"config": config, **digests, "seed": seed}


def _of_run(identity: dict[str, Any], network: QuantSpikeGPT, phases: tuple[Plan, Plan | None]) -> dict[str, Any]:
    """What distinguishes a whole run from all others."""
    plans = [plan.as_json() for plan in phases if plan]
    return {**identity, **_widths(network), "plans": plans, "processes": distributed.size()}


def _widths(network: QuantSpikeGPT) -> dict[str, Any]:
    shared = {} if network.formats == "own" else {"formats": network.formats}
    return {"weight_bits": network.weight_bits, "activation_bits": network.activation_bits, **shared}


def _learn(
    folder: Path,
    resume: Path,
    network: QuantSpikeGPT,
    corpus: Corpus,
    phases: tuple[Plan, Plan | None],
    identity: dict[str, Any],
    console: Console | None,
    teacher: SpikeGPT | None = None,
    events: float | None = None,
    body: SpikeGPT | None = None,
) -> tuple[list[float], list[float]]:
    """Train ``network`` through both phases, from ``body`` on where there is one; their losses."""
    first, second = phases
    training, _ = corpus.split(first.context)

    def run(model: nn.Module, plan: Plan, title: str) -> list[float]:
        file, board = resume / f"{title}.safetensors", folder / "tensorboard" / resume.name / title
        objective: Any = LanguageModelling(training, plan)
        if teacher is not None or events is not None or network.config.spike_driven:
            ramp = plan.steps // 2 if plan is first else 0
            objective = Quiet(training, plan, teacher, target=events, ramp=min(ramp, RAMP))
        return train(model.to(distributed.device()), objective, plan, file, identity, title, console, board)

    torch.manual_seed(first.seed)
    model = body or SpikeGPT(network.config)
    if teacher is not None and body is None:
        teachers.begin(model, teacher)
    curve = run(model, first, "float") if first.steps else []
    network.warm_start(model.cpu())
    if console and not first.steps:
        console.print(
            f"calibrating on {CALIBRATION_BATCHES * first.batch * first.context:,} tokens, drawn from {len(training):,}"
        )
    batches = LanguageModelling(training, first)
    calibrate(network, (batches.batch(step)[0] for step in range(CALIBRATION_BATCHES)))
    identity |= _widths(network) | {"float": first.as_json()}
    curve_qat = run(network, second, "qat") if second else []
    network.cpu().eval()
    return curve, curve_qat


def _finish(
    folder: Path,
    preset_name: str,
    recipe: Recipe,
    network: QuantSpikeGPT,
    corpus: Corpus,
    curves: tuple[list[float], list[float]],
    seed: int,
    console: Console | None,
    init: str | None = None,
) -> dict[str, Any]:
    """The leader's metrics, written with the checkpoint and its tokenizer; the others read them."""
    if distributed.rank() > 0:
        return dict(json.loads((folder / METRICS).read_text()))
    blocks(network)  # an inexact layer stops here, before anything is written
    metrics = restore.measure(network, corpus, recipe, console) | {
        "preset": preset_name,
        "data": corpus.text.name,
        "text_sha256": corpus.text.sha256,
        "text_bytes": corpus.text.bytes,
        "text_tokens": len(corpus.ids),
        "tokenizer_sha256": corpus.tokenizer.sha256,
        "weight_bits": network.weight_bits,
        "activation_bits": network.activation_bits,
        "formats": network.formats,
        "precision": recipe.precision,
        "seed": seed,
        "init": init,
        "steps": sum(map(len, curves)),
        "steps_float": len(curves[0]),
        "tokens_per_step": recipe.batch * recipe.accumulate * recipe.context * distributed.size(),
        "loss_curve": [round(loss, 5) for curve in curves for loss in curve],
        "versions": versions(),
    }
    kept = ("preset", "data", "text_sha256", "tokenizer_sha256", "seed", "versions")
    header = {key: metrics[key] for key in kept} | {tokenizers.HEADER: corpus.tokenizer.content.decode()}
    tokenizers.save(corpus.tokenizer, folder)
    save_network(network, folder / CHECKPOINT, header | {restore.HEADER: json.dumps(metrics)})
    return restore.write(folder / CHECKPOINT, metrics)


def plans(
    recipe: Recipe, steps: int | None, qat_steps: int | None, seed: int, begun: bool = False
) -> tuple[Plan, Plan | None]:
    """The float phase and the quantized phase, which goes on at the learning rate that the float phase ends with.

    ``begun``: there are weights already, so there may be no step at all.
    """
    if steps is None:
        steps = recipe.steps + recipe.qat_steps
        qat_steps = recipe.qat_steps if qat_steps is None else qat_steps
    elif qat_steps is None:
        qat_steps = max(steps * recipe.qat_steps // (recipe.steps + recipe.qat_steps), min(steps, 1))
    if not 0 <= qat_steps < steps and not (begun and steps == qat_steps == 0):
        raise ModelError(f"training takes 1 step or more before {qat_steps} steps with quantizers, not {steps} in all")
    first = Plan(
        steps=steps - qat_steps,
        lr=recipe.lr,
        context=recipe.context,
        batch=recipe.batch,
        accumulate=recipe.accumulate,
        final_lr=recipe.qat_lr if qat_steps else recipe.final_lr,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        betas=recipe.betas,
        clip=recipe.clip,
        seed=seed,
        checkpoint_every=recipe.checkpoint_every,
        ema=recipe.ema,
        precision=recipe.precision,
    )
    if not qat_steps:
        return first, None
    # another seed, so that the second phase does not repeat the first one's windows; grids need float32
    return first, replace(
        first,
        steps=qat_steps,
        lr=recipe.qat_lr,
        final_lr=recipe.final_lr,
        warmup=0,
        seed=seed + 1_000_003,
        precision="float32",
    )
