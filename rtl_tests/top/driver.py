"""What ``driver.sv`` reads: the tokens to offer, beat by beat, and the cycles in which either port pauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.hls.rtl.writer import widths

#: A token's id or the integers of its channels, its mark of the first, and its context.
Token = tuple[int | Sequence[int], int, int]


def words(dataflow: Dataflow, token: int | Sequence[int], first: int, context: int) -> list[int]:
    """``{tid, tuser, tdata}`` of every beat of a token."""
    reader, port = dataflow.reader[dataflow.source]
    beats = pack(np.reshape(token, (reader.beats_in, reader.lanes_in)), reader.format_in[port].bits).words
    return [(context << 1 | first) << widths(dataflow)[dataflow.source] | beat for beat in beats]


def write(
    folder: Path,
    dataflow: Dataflow,
    tokens: Sequence[Token],
    source_pauses: Iterable[bool] = (),
    sink_pauses: Iterable[bool] = (),
) -> None:
    """Pauses are from reset on, over and over."""
    lines = (word for token in tokens for word in words(dataflow, *token))
    (folder / "tokens.beats").write_text("".join(f"{word:x}\n" for word in lines))
    for name, pauses in (("source", source_pauses), ("sink", sink_pauses)):
        (folder / f"{name}.pauses").write_text("".join("01"[pause] for pause in pauses))
