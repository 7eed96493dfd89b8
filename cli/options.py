"""Writes ``docs/options.md``, the table of all settings: ``python -m spikegpt_hls.cli.options``."""

from __future__ import annotations

from dataclasses import fields

import click

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.commandline import COMMANDS
from spikegpt_hls.cli.graph.settings import Settings, about

HEAD = """# What can be set

Every setting of every command, with its domain, its default and an example. This page is written by `make options` from
the settings' own definitions; a test fails when it is stale.

A setting is `name=value` behind `make` and `--name value` behind `spikegpt-hls` (`weight_bits=4` is `--weight-bits 4`).
One that is not named is as in the last run of its step; `make status` shows what that was. What a command alone reads
(marked *), no run remembers.

## Where

| setting | meaning | values | default | example |
| --- | --- | --- | --- | --- |
| `preset` | the size of the network | tiny, small, 46m, 216m | tiny | `preset=small` |
| `target` | the hardware | {targets} | verilog | `target=xilinx` |
| `build` | the folder of all results | a path | build | `build=/tmp/mine` |
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(targets=", ".join(targets.targets()))]
    for kind, commands in _kinds().items():
        parts.append(_section(kind, commands))
    return "\n".join(parts)


def _kinds() -> dict[type[Settings], list[str]]:
    """Each group of settings, with the commands that read it."""
    found: dict[type[Settings], list[str]] = {}
    for command in COMMANDS:
        for kind in command.settings:
            found.setdefault(kind, []).append(command.name)
    return found


def _section(kind: type[Settings], commands: list[str]) -> str:
    star = "" if kind.remembered else " *"
    lines = [f"## {kind.__name__}{star}", "", (kind.__doc__ or "").strip(), ""]
    lines += [f"For {', '.join(f'`{name}`' for name in commands)}.", ""]
    lines += ["| setting | meaning | values | default | example |", "| --- | --- | --- | --- | --- |"]
    for entry in fields(kind):
        told = about(entry)
        default = told.otherwise if entry.default is None else str(entry.default)
        forgotten = " *" if entry.name in kind.forgotten else ""
        cells = (
            f"`{entry.name}`{forgotten}",
            told.help,
            _values(told.domain),
            default,
            f"`{entry.name}={told.example}`",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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
