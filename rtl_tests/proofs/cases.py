"""The very cases of a block's bench: what its tests hand to ``bench.check``."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.rtl_tests import bench


@dataclass(frozen=True)
class Case:
    block: Block
    streams: Sequence[Ints]
    lengths: Sequence[int]
    test: str | None  # the only run of this case, or all


@cache
def cases(name: str) -> tuple[Case, ...]:
    """All cases of ``test_<name>.py`` but those that are meant to fail and the soak's."""
    found: list[Case] = []
    path = Path(bench.__file__).parent / f"test_{name}.py"

    def record(
        block: Block,
        streams: Sequence[Ints],
        lengths: Sequence[int],
        *corrupt: Any,
        test: str | None = None,
        **more: Any,
    ) -> None:
        if not corrupt and not more:
            found.append(Case(block, streams, lengths, test))

    original, bench.check = bench.check, record  # type: ignore[assignment]
    # A module that was imported before has the true `check`.
    before = {key: module for key, module in sys.modules.items() if getattr(module, "__file__", None) == str(path)}
    for key in before:
        del sys.modules[key]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(path)])
    finally:
        bench.check = original  # type: ignore[assignment]
        sys.modules.update(before)
    return tuple(found)
