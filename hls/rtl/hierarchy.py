"""What a module is made of, read off its SystemVerilog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path


def needed(modules: Iterable[str], known: Mapping[str, Path]) -> list[Path]:
    """The files of ``modules`` and of all that they instantiate, these behind those; ``known`` are files by module."""
    names = list(modules)
    for name in names:  # grows while it is walked
        used = re.findall(r"^\s*(\w+)\s+(?:#\s*\(|\w+\s*\()", known[name].read_text(), re.MULTILINE)
        names += [other for other in dict.fromkeys(used) if other in known and other not in names]
    return [known[name] for name in names]


@cache
def declared(module: Path) -> frozenset[str]:
    """The integer parameters that a module's header declares."""
    return frozenset(re.findall(r"parameter int (\w+)", module.read_text()))
