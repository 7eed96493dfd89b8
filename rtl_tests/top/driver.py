"""What ``driver.sv`` reads: the ids to offer, and the cycles in which either port pauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.writer import widths


def word(dataflow: Dataflow, token: int, first: int, context: int) -> int:
    """``{tid, tuser, tdata}``."""
    return (context << 1 | first) << widths(dataflow)[dataflow.source] | token


def write(
    folder: Path,
    dataflow: Dataflow,
    tokens: Sequence[Sequence[int]],
    source_pauses: Iterable[bool] = (),
    sink_pauses: Iterable[bool] = (),
) -> None:
    """``tokens`` are id, mark of the first, and context each; pauses are from reset on, over and over."""
    (folder / "ids.hex").write_text("".join(f"{word(dataflow, *token):x}\n" for token in tokens))
    for name, pauses in (("source", source_pauses), ("sink", sink_pauses)):
        (folder / f"{name}.pauses").write_text("".join("01"[pause] for pause in pauses))
