"""Text in, a quantized checkpoint and its cross entropy out: float warm start, calibration, then quantizers on.

The folder gets ``checkpoint.safetensors`` and ``metrics.json`` at the very end, each in one step, so an earlier result
stays until a new one is whole. ``training/`` in it keeps what a killed run continues from.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from spikegpt_hls.model import checkpoint, text
from spikegpt_hls.model.config import Preset, preset
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.evaluate import nats_per_token
from spikegpt_hls.model.files import write_atomically
from spikegpt_hls.model.spikegpt import SpikeGPT, parameter_count
from spikegpt_hls.model.train import LanguageModelling, Plan, train
from spikegpt_hls.model.weights import geometry, load_exactly
from spikegpt_hls.quant.calibrate import calibrate
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.json"
CALIBRATION_BATCHES = 8


def train_qat(
    folder: str | Path,
    preset_name: str = "tiny",
    data: str = text.DEFAULT,
    steps: int | None = None,
    seed: int = 0,
    weight_bits: int = 8,
    console: Console | None = None,
) -> dict[str, Any]:
    """The metrics that were written; ``steps`` in all (a quarter of them with quantizers) replaces the recipe's."""
    folder, chosen = Path(folder), preset(preset_name)
    if chosen.recipe.threads:
        torch.set_num_threads(chosen.recipe.threads)
    float_plan, qat_plan = plans(chosen, steps, seed)
    content = text.load(data)
    training, validation, _ = text.split(content, chosen.recipe.context)
    network = QuantSpikeGPT(chosen.config, weight_bits)
    identity = {"config": asdict(chosen.config), "text_sha256": text.digest(content), "seed": seed}

    torch.manual_seed(seed)
    model = SpikeGPT(chosen.config)
    work = folder / "training"
    ids = np.frombuffer(training, np.uint8)
    first, second = LanguageModelling(ids, float_plan), LanguageModelling(ids, qat_plan)
    curve_float = train(model, first, float_plan, work / "float.safetensors", identity, title="float", console=console)
    network.warm_start(model)
    calibrate(network, (first.batch(step)[0] for step in range(CALIBRATION_BATCHES)))
    identity |= {"weight_bits": weight_bits, "float": asdict(float_plan) | {"betas": list(float_plan.betas)}}
    curve_qat = train(network, second, qat_plan, work / "qat.safetensors", identity, title="qat", console=console)

    network.eval()
    blocks(network)  # an inexact layer stops here, before anything is written
    metrics = measure(network, validation, chosen) | {
        "preset": preset_name,
        "data": data,
        "text_sha256": text.digest(content),
        "text_bytes": len(content),
        "weight_bits": weight_bits,
        "seed": seed,
        "steps": len(curve_float) + len(curve_qat),
        "steps_float": len(curve_float),
        "loss_curve": [round(loss, 5) for loss in curve_float + curve_qat],
        "versions": versions(),
    }
    save(
        network,
        folder / CHECKPOINT,
        {key: metrics[key] for key in ("preset", "data", "text_sha256", "seed", "versions")},
    )
    write_atomically(folder / METRICS, (json.dumps(metrics, indent=1) + "\n").encode())
    shutil.rmtree(work, ignore_errors=True)
    return metrics


def plans(chosen: Preset, steps: int | None, seed: int) -> tuple[Plan, Plan]:
    """The float phase and the quantized phase of a recipe."""
    recipe = chosen.recipe
    if steps is not None and steps < 2:
        raise ModelError(f"training takes at least 2 steps, not {steps}")
    qat_steps = recipe.qat_steps if steps is None else max(steps // 4, 1)
    first = Plan(
        steps=recipe.steps if steps is None else steps - qat_steps,
        lr=recipe.lr,
        context=recipe.context,
        batch=recipe.batch,
        final_lr=recipe.final_lr,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        betas=recipe.betas,
        clip=recipe.clip,
        seed=seed,
        checkpoint_every=recipe.checkpoint_every,
    )
    # another seed, so that the second phase does not repeat the first one's windows
    return first, replace(first, steps=qat_steps, lr=recipe.qat_lr, seed=seed + 1_000_003)


def measure(network: QuantSpikeGPT, validation: bytes, chosen: Preset) -> dict[str, Any]:
    """Validation loss of the integers, and of the same weights in the float SpikeGPT with all quantizers off."""
    recipe, config = chosen.recipe, network.config
    windows = recipe.validation_windows
    integer = nats_per_token(network.eval(), validation, recipe.context, windows)
    unquantized = nats_per_token(network.float_twin().eval(), validation, recipe.context, windows)
    return {
        "parameters": parameter_count(network.float_twin()),
        "layers": config.layers,
        "channels": config.channels,
        "vocabulary": config.vocabulary,
        "context": recipe.context,
        "validation_windows": windows,
        "validation": f"{windows} windows of {recipe.context} bytes, evenly spaced, each from a fresh state",
        "val_nats_float": unquantized,
        "val_nats_integer": integer,
        "val_bits_float": unquantized / math.log(2),
        "val_bits_integer": integer / math.log(2),
    }


def versions() -> dict[str, str]:
    packages = ("torch", "brevitas", "qonnx", "numpy", "spikegpt-hls")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def save(network: QuantSpikeGPT, path: Path, header: dict[str, Any]) -> None:
    """A checkpoint that ``load_network`` reads."""
    checkpoint.save(
        path, network.state_dict(), header | {"config": asdict(network.config), "weight_bits": network.weight_bits}
    )


def load_network(path: str | Path) -> tuple[QuantSpikeGPT, dict[str, Any]]:
    """The quantized network of a checkpoint, in ``eval()``, and its header; ModelError says what is wrong."""
    path = Path(path)
    tensors, header = checkpoint.load(path)
    described = header.get("config")
    classes = described.get("classes") if isinstance(described, dict) else None
    classes = classes if isinstance(classes, int) else None
    config, weight_bits = geometry(tensors, path.name, classes), header.get("weight_bits")
    if described != asdict(config) or not isinstance(weight_bits, int):
        raise ModelError(f"{path.name} does not say which network it holds, or holds another one")
    network = QuantSpikeGPT(config, weight_bits)
    load_exactly(network, tensors, path.name)
    return network.eval(), header
