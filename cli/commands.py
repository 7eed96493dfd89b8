"""The commands, thin: options in, one step of the path out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.workspace import Workspace

_OPTIONS: dict[str, Any] = {
    "data": click.option("--data", help="Text: a file, or python, shakespeare, enwik8, text8, wikitext2."),
    "tokenizer": click.option("--tokenizer", help="bytes, characters, or a Hugging Face tokenizers file (JSON)."),
    "precision": click.option("--precision", help="Of training's matrix products: float32, or bfloat16."),
    "accumulate": click.option("--accumulate", type=click.IntRange(1), help="Batches whose gradients make a step."),
    "neurons": click.option("--neurons", help="lif, or none: the twin that does not spike."),
    "layers": click.option("--layers", type=click.IntRange(1), help="Blocks (the preset's own by default)."),
    "channels": click.option("--channels", type=click.IntRange(1), help="Width (the preset's own by default)."),
    "processes": click.option("--processes", type=click.IntRange(1), help="Train in so many, by torchrun."),
    "steps": click.option("--steps", type=int, help="Training steps in all (the preset's own by default)."),
    "seed": click.option("--seed", type=click.IntRange(0), help="Seed of training, or of sampling."),
    "qat_steps": click.option("--qat-steps", type=click.IntRange(0), help="How many of the steps have quantizers."),
    "weight_bits": click.option("--weight-bits", help="Bits of weights: 8, 4, 2 (ternary), or by layer: 4,head=8."),
    "activation_bits": click.option("--activation-bits", help="Bits of activations: 8 to 4, or by layer."),
    "lr": click.option("--lr", type=click.FloatRange(0, min_open=True), help="Highest learning rate."),
    "qat_lr": click.option("--qat-lr", type=click.FloatRange(0, min_open=True), help="Where quantizers come in."),
    "tokens": click.option("--tokens", type=click.IntRange(1), help="Held-out tokens to verify, or to generate."),
    "sequences": click.option("--sequences", type=click.IntRange(1), help="Back-to-back sequences of the tokens."),
    "lanes": click.option("--lanes", type=int, help="Channels per beat of every stream."),
    "reuse": click.option("--reuse", type=int, help="hls4ml's ReuseFactor of every Linear: cycles per token."),
    "multipliers": click.option("--multipliers", type=click.IntRange(1), help="Budget: as fast as they allow."),
    "rate": click.option(
        "--rate", type=click.FloatRange(0, min_open=True), help="Tokens per second to reach, at --clock."
    ),
    "clock": click.option("--clock", type=click.FloatRange(0, min_open=True), help="Clock in MHz (100 by default)."),
    "folding": click.option("--folding", help="A file of lanes and ReuseFactors, as hls writes it."),
    "contexts": click.option("--contexts", type=int, help="Sequences that are interleaved in the hardware."),
    "part": click.option("--part", help="One named part (all of them by default): XC7A100T, XCU55C, ..."),
    "waves": click.option("--waves", is_flag=True, default=None, help="Write a waveform of the RTL's first tokens."),
    "rtl": click.option("--rtl", type=click.Choice(["own", "vitis"]), help="Whose RTL: ours, or Vitis's Verilog."),
    "prompt": click.option("--prompt", help="Text to continue."),
    "stop": click.option("--stop", help="Text at which the continuation ends."),
    "temperature": click.option("--temperature", type=float, help="Sampling temperature; 0 takes the likeliest."),
    "characters": click.option("--characters", type=click.IntRange(1), help="Held-out characters to run over."),
    "energy": click.option("--energy", help="A table of energies per action, as sim/energy/energy_table.json."),
    "twin": click.option("--twin", help="The build folder of the twin without neurons (by default in the preset's)."),
    "sizes": click.option("--sizes", help="Presets whose training curves are compared: tiny,small."),
    "trials": click.option("--trials", type=click.IntRange(1), help="Points to try in all (30 by default)."),
    "workers": click.option("--workers", type=click.IntRange(1), help="Processes that try them (1 by default)."),
    "space": click.option("--space", help="What to search: tiny (by default), small or smallest."),
    "top_p": click.option("--top-p", type=float, help="Share of probability that sampling keeps."),
}
_BUILD = click.option("--build", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
_TRAIN = (
    "data",
    "tokenizer",
    "steps",
    "qat_steps",
    "seed",
    "weight_bits",
    "activation_bits",
    "lr",
    "qat_lr",
    "precision",
    "accumulate",
    "neurons",
    "layers",
    "channels",
)
_EXPORT = (*_TRAIN, "tokens", "sequences")
_FOLDING = ("lanes", "reuse", "multipliers", "rate", "clock", "folding", "contexts")
_HLS = (*_EXPORT, *_FOLDING)
_SIZE = ("seed", "weight_bits", "activation_bits", *_FOLDING, "part")
_EXPLORE = (
    *("trials", "workers", "space", "data", "tokenizer", "steps", "qat_steps", "lr", "qat_lr", "seed", "neurons"),
    "clock",
)
_SAMPLE = ("prompt", "temperature", "top_p")


def _command(name: str, options: tuple[str, ...], action: Callable[[Request], None], text: str) -> click.Command:
    """A command with the options that every command has, and ``options``."""

    def callback(preset: str, build: Path, target: str, **values: Any) -> None:
        from spikegpt_hls.model.config import preset as known

        known(preset)
        targets.target(target)
        action(Request(Workspace(build / preset, preset, target), values))

    for option in reversed(options):
        callback = _OPTIONS[option](callback)
    names = ", ".join(targets.targets())
    callback = click.option("--target", default="verilog", help=f"One of {names}.", show_default=True)(callback)
    callback = _BUILD(callback)
    sizes = click.option("--preset", default="tiny", show_default=True, help="tiny, small, 46m or 216m.")
    return click.command(name, help=text)(sizes(callback))


def _train(request: Request) -> None:
    from spikegpt_hls.cli.steps import train

    if request.options.get("processes"):
        train.launch(request)
    else:
        train.show(request, train.make(request))


def _export(request: Request) -> None:
    from spikegpt_hls.cli.steps import export

    export.make(request)
    request.say(f"exported: {request.workspace.onnx}, {request.workspace.vectors}")


def _hls(request: Request) -> None:
    from spikegpt_hls.cli.steps import hls

    hls.make(request)
    hls.show(request)


def _cosim(request: Request) -> None:
    from spikegpt_hls.cli.steps import cosim

    cosim.make(request)


def _report(request: Request) -> None:
    from spikegpt_hls.cli.steps import report

    report.make(request)


def _generate(request: Request) -> None:
    from spikegpt_hls.cli.steps import generate

    generate.make(request)


def _figures(request: Request) -> None:
    from spikegpt_hls.cli.steps import figures

    figures.make(request)


def _accountings(request: Request) -> None:
    from spikegpt_hls.cli.steps import accountings

    accountings.make(request)


def _toggles(request: Request) -> None:
    from spikegpt_hls.cli.steps import toggles

    toggles.make(request)


def _explore(request: Request) -> None:
    from spikegpt_hls.cli.steps import explore

    explore.make(request)


def _bench(request: Request) -> None:
    from spikegpt_hls.cli.steps import bench

    bench.make(request)


def _size(request: Request) -> None:
    from spikegpt_hls.cli.steps import size

    size.make(request)


@click.command("nlu", help="Train and quantize a classifier of sentences, in BUILD/nlu-TASK.")
@click.option("--task", required=True, help="mr, subj, sst2 or sst5.")
@click.option("--data", help="The folder with the task's files.")
@click.option("--init", help="A checkpoint to start from, its tokenizer beside it (from scratch by default).")
@click.option("--fold", type=click.IntRange(0, 9), help="Which tenth of mr and subj is the test (0 by default).")
@_OPTIONS["steps"]
@_OPTIONS["seed"]
@_OPTIONS["weight_bits"]
@_BUILD
def _nlu(task: str, build: Path, **values: Any) -> None:
    from spikegpt_hls.cli.steps import nlu

    request = Request(Workspace(build / f"nlu-{task}", f"nlu-{task}"), values)
    nlu.show(request, nlu.make(request, task))


_TARGETS = "\n\n".join(f"{target.name}: {target.summary}" for target in targets.targets().values())

COMMANDS = (
    _command("train-qat", (*_TRAIN, "processes"), _train, "Train a quantized SpikeGPT on a text."),
    _command("export", _EXPORT, _export, "Export the checkpoint as QONNX, with golden vectors."),
    _command("hls", _HLS, _hls, f"Translate to hardware.\n\nTargets:\n\n{_TARGETS}"),
    _command("cosim", (*_HLS, *_SAMPLE, "waves", "rtl"), _cosim, "Run the RTL of the whole model against PyTorch."),
    _command("report", (*_HLS, "part", "waves"), _report, "Write the report's page and JSON."),
    _command("bench", _HLS, _bench, "Time every implementation, as ratios measured in one run."),
    _command(
        "accountings",
        (*_HLS, "characters", "energy", "twin"),
        _accountings,
        "What a character costs by four accountings, beside the bits it takes; the break-even firing rate.",
    ),
    _command("toggles", (*_HLS, "energy"), _toggles, "Toggles of three blocks' RTL, silent, typical and saturated."),
    _command("size", _SIZE, _size, "What a preset takes as hardware, with random weights, against named parts."),
    _command("explore", _EXPLORE, _explore, "Search networks and foldings that none beats in everything."),
    _command("generate", (*_TRAIN, "tokens", *_SAMPLE, "stop"), _generate, "Continue a prompt with the integer model."),
    _command("figures", (*_TRAIN, "sizes"), _figures, "Draw training, spikes, firing rates and the use of the grids."),
    _nlu,
)
