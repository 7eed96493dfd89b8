"""Writes ``docs/options.md``, the table of all settings: ``python -m spikegpt_hls.cli.options``."""

from __future__ import annotations

from dataclasses import fields
from inspect import cleandoc
from shlex import quote

import click

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.commandline import COMMANDS
from spikegpt_hls.cli.graph.settings import Settings, about
from spikegpt_hls.model.classify.nlu import TASKS
from spikegpt_hls.model.config import PRESETS

HEAD = """# What can be set

Every setting of every command, with its domain, its default and an example. This page is written by `make options` from
the settings' own definitions; a test fails when it is stale.

A setting is `name=value` behind `make` and `--name value` behind `spikegpt-hls` (`weight_bits=4` is `--weight-bits 4`).
One that you do not name is as in the last run of its step, and `make status` shows those that differ from the defaults;
so `make cosim` after `make train-qat data=my.txt` verifies that model. Under a heading with a star, no run remembers
them: name them each time.

## Where the results lie, and what they are for

For every command.

| setting | meaning | values | default | example |
| --- | --- | --- | --- | --- |
| `preset` | The size of the network. | {presets} | tiny | `preset=small` |
| `target` | The hardware. | {targets} | verilog | `target=xilinx` |
| `build` | The folder of all results: `build/<preset>/`. | a path | build | `build=mine` |
| `task` | For `nlu`, `hls`, `cosim`: its classifier, not a preset. | {tasks} | none | `task=sst2` |
"""

TAIL = """## What make itself reads

The Makefile and the tools behind it read these; the command does not know them.

| setting | meaning | default | example |
| --- | --- | --- | --- |
| `python` | The Python that makes the environment. | python3 | `make setup python=python3.12` |
| `venv` | The environment's folder. | .venv | `make setup venv=env` |
| `minutes` | How long `make soak` runs random models. | 60 | `make soak minutes=10` |
| `block` | The block that `make mutate` and `make coverage` look at. | all | `make mutate block=lif` |
| `SPIKEGPT_KERNELS` | In the environment: `torch` does without compiled kernels. | none | `SPIKEGPT_KERNELS=torch` |
| `SOAK_SEED` | In the environment: the first random model of `make soak`. | 0 | `SOAK_SEED=200` |
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(targets=", ".join(targets.targets()), presets=", ".join(PRESETS), tasks=", ".join(TASKS))]
    for kind, commands in _kinds().items():
        parts.append(_section(kind, commands))
    return "\n".join([*parts, TAIL])


def _kinds() -> dict[type[Settings], list[str]]:
    """Each group of settings, with the commands that read it."""
    found: dict[type[Settings], list[str]] = {}
    for command in COMMANDS:
        for kind in dict.fromkeys((*command.settings, *command.task_settings)):
            found.setdefault(kind, []).append(command.name)
    return found


def _section(kind: type[Settings], commands: list[str]) -> str:
    star = "" if kind.remembered else " *"
    title, *more = cleandoc(kind.__doc__ or "").replace("``", "`").split(". ", 1)
    lines = [f"## {title.removesuffix('.')}{star}", ""]
    lines += [
        f"For {', '.join(f'`{name}`' for name in commands)}.",
        "",
        *(part for text in more for part in (text, "")),
    ]
    lines += ["| setting | meaning | values | default | example |", "| --- | --- | --- | --- | --- |"]
    for entry in fields(kind):
        told = about(entry)
        default = told.otherwise if entry.default is None else _value(entry.default)
        name = f"`{entry.name}`" + " *" * (entry.name in kind.forgotten)
        cells = (name, told.help, _values(told.domain), default, f"`{entry.name}={quote(told.example)}`")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """As it is typed: 0 for False, 100 for 100.0."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _values(domain: click.ParamType) -> str:
    if isinstance(domain, click.Choice):
        return ", ".join(map(str, domain.choices))
    if isinstance(domain, click.IntRange | click.FloatRange):
        kind = "whole numbers" if isinstance(domain, click.IntRange) else "numbers"
        low = "above" if domain.min_open else "from"
        return f"{kind} {low} {domain.min:g}" + (f" to {domain.max:g}" if domain.max is not None else "")
    names = {"integer": "whole numbers", "float": "numbers", "boolean": "0 or 1", "text": "text"}
    return names.get(domain.name, domain.name)


if __name__ == "__main__":
    print(page(), end="")
