"""Text to a quantized checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikegpt_hls.cli.request import Request, leads
from spikegpt_hls.cli.step import Step

DEFAULTS = {
    "data": "python",
    "tokenizer": "bytes",
    "steps": None,
    "qat_steps": None,
    "seed": 0,
    "weight_bits": "8",
    "activation_bits": "8",
    "lr": None,
    "qat_lr": None,
    "precision": None,
    "accumulate": None,
    "neurons": "lif",
    "layers": None,
    "channels": None,
    "text_sha256": None,
    "tokenizer_sha256": None,
}
DIGESTS = ("text_sha256", "tokenizer_sha256")


def make(request: Request) -> dict[str, Any]:
    """The metrics of the checkpoint, trained now if it is not what was asked for."""
    workspace = request.workspace
    outputs = (workspace.checkpoint, workspace.metrics)
    step = request.step("train-qat", (), outputs, DEFAULTS)
    if not step.up_to_date or _changed(request, step):
        settings = {name: value for name, value in step.settings.items() if name not in DIGESTS}
        check(workspace.preset, settings)
        from spikegpt_hls.quant.training.train_qat import train_qat

        metrics = train_qat(workspace.folder, workspace.preset, console=request.console, **settings)
        done = Request(workspace, settings | {name: metrics[name] for name in DIGESTS})
        if leads():
            done.step("train-qat", (), outputs, DEFAULTS).done()
    return dict(json.loads(workspace.metrics.read_text()))


def settings(request: Request) -> dict[str, Any]:
    """What the checkpoint was trained with, or would be."""
    found = request.step("train-qat", (), (), DEFAULTS).settings
    return {name: value for name, value in found.items() if name not in DIGESTS}


def launch(request: Request) -> None:
    """The same command in ``processes`` processes of this machine, started by ``torchrun``."""
    from spikegpt_hls.model.errors import ModelError

    workspace, options = request.workspace, dict(request.options)
    count = options.pop("processes")
    check(workspace.preset, request.step("train-qat", (), (), DEFAULTS).settings)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    command += ["-m", "spikegpt_hls.cli.main", "train-qat", "--preset", workspace.preset]
    command += ["--build", str(workspace.folder.parent)]
    for name, value in options.items():
        command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    code = subprocess.run(command, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False).returncode
    if code:
        raise ModelError(f"training in {count} processes failed; the first line of the above says why")


def check(preset: str, settings: Mapping[str, Any]) -> None:
    """ModelError for a text or a tokenizer that cannot be used, before PyTorch is loaded, which takes seconds."""
    from spikegpt_hls.model import config
    from spikegpt_hls.model.corpus import text, tokens
    from spikegpt_hls.model.errors import ModelError

    source = text.find(settings["data"])
    tokens.choose(settings["tokenizer"], source)
    replace(config.preset(preset).config, neurons=settings["neurons"])
    context = config.preset(preset).recipe.context
    if source.bytes < tokens.smallest(context):  # a token is a byte at least
        raise ModelError(tokens.too_short(f"{source.bytes} bytes", context))


def _changed(request: Request, step: Step) -> bool:
    """Whether a text or a tokenizer that was named holds something else than what was trained with."""
    recorded = step.recorded["settings"]
    if request.options.get("data") is None and request.options.get("tokenizer") is None:
        return False
    from spikegpt_hls.model.corpus import text, tokens

    source = text.find(step.settings["data"])
    if source.sha256 != recorded["text_sha256"]:
        return True
    return bool(tokens.choose(step.settings["tokenizer"], source).sha256 != recorded["tokenizer_sha256"])


def show(request: Request, metrics: dict[str, Any]) -> None:
    """The losses, float and integer, in nats and bits."""
    from rich.table import Table

    unit = metrics["unit"]
    table = Table("held-out loss", f"nats per {unit}", f"bits per {unit}")
    for kind, label in (("float", "float, quantizers off"), ("integer", "integer, what the hardware computes")):
        table.add_row(label, *(f"{metrics[f'val_{unit}_{kind}']:.4f}" for unit in ("nats", "bits")))
    request.console.print(table)
    difference = metrics["val_nats_integer"] / metrics["val_nats_float"] - 1
    request.say(f"integer differs from float by {difference:+.2%}; measured over {metrics['validation']}")
    request.say(
        f"text {metrics['data']}, {metrics['parameters']:,} parameters, weights of {metrics['weight_bits']} bits, "
        f"{metrics['steps']} steps, seed {metrics['seed']}"
    )
    request.say(f"checkpoint: {request.workspace.checkpoint}")
    if metrics["warning"]:
        request.say(f"warning: {metrics['warning']}")
