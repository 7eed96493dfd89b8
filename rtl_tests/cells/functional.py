"""Functional coverage of a block's bench, by cocotb-coverage: which situations the streams of its runs were in.

Sampled in every cycle of a run where the environment variable ``FUNCTIONAL`` names a YAML file for the counts. Bins
have the same names whatever the shape, so that the files of all cases can be merged (``proofs/coverage.py``).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb_coverage.coverage import CoverCross, CoverPoint, coverage_db, merge_coverage

from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import Operation

FILE = "FUNCTIONAL"
#: Of a port in a cycle: no beat is shown, one is shown and not taken, one is taken.
STATES = ("idle", "waits", "moves")
#: Of a beat in its token.
PLACES = ("only", "first", "middle", "last")
#: Cycles for which a beat was shown before it was taken.
WAITED = ("none", "1 to 8", "9 to 64", "65 and more")
#: What a port's numbers may be, by the kind of its format.
VALUES = {
    "bit": ("zero", "highest"),
    "unsigned": ("zero", "positive", "highest"),
    "signed": ("lowest", "negative", "zero", "positive", "highest"),
}
TOKENS = ("the first of a sequence", "a later one")
TURNS = ("of the same context", "of another context")

Sample = Callable[[str], None]


def point(name: str, bins: tuple[str, ...]) -> Sample:
    return CoverPoint(name, bins=bins)(lambda value: None)  # type: ignore[no-any-return]


def value_kind(fmt: Format) -> str:
    return "bit" if fmt.bits == 1 else "signed" if fmt.signed else "unsigned"


def value_bin(value: int, fmt: Format) -> str:
    if value == 0:
        return "zero"
    if value == fmt.hi:
        return "highest"
    return "positive" if value > 0 else "lowest" if value == fmt.lo else "negative"


def waited_bin(cycles: int) -> str:
    return WAITED[0 if cycles == 0 else 1 if cycles <= 8 else 2 if cycles <= 64 else 3]


class Port:
    """One stream of the block: what it was in each cycle."""

    def __init__(self, dut: Any, prefix: str, name: str, fmt: Format, lanes: int, contexts: int) -> None:
        self.wires = {part: getattr(dut, f"{prefix}_t{part}") for part in ("valid", "ready", "data", "last", "user")}
        self.fmt, self.lanes = fmt, lanes
        self.state = point(f"{name}.state", STATES)
        self.place = point(f"{name}.beat", PLACES) if not name.endswith(".ids") else lambda value: None
        self.waiting = point(f"{name}.waited", WAITED)
        self.value = point(f"{name}.{value_kind(fmt)}", VALUES[value_kind(fmt)])
        self.token = point(f"{name}.token", TOKENS)
        self.turn = point(f"{name}.turn", TURNS) if contexts > 1 else lambda value: None
        self.first, self.cycles, self.context = True, 0, 0

    def sample(self) -> None:
        valid, ready = (bool(self.wires[part].value) for part in ("valid", "ready"))
        self.state(STATES[valid + (valid and ready)])
        if valid and ready:
            self._moved()
        self.cycles = self.cycles + 1 if valid and not ready else 0

    def _moved(self) -> None:
        data, last, user = (int(self.wires[part].value) for part in ("data", "last", "user"))
        self.place(("middle", "last", "first", "only")[2 * self.first + last])
        self.waiting(waited_bin(self.cycles))
        for lane in range(self.lanes):
            word = data >> lane * self.fmt.bits & (1 << self.fmt.bits) - 1
            self.value(value_bin(word - (word > self.fmt.hi) * (1 << self.fmt.bits), self.fmt))
        if self.first:
            self.token(TOKENS[1 - user % 2])
            self.turn(TURNS[user // 2 != self.context])
            self.context = user // 2
        self.first = bool(last)


async def _watch(dut: Any, ports: list[Port], stalls: Sample) -> None:
    while True:
        await RisingEdge(dut.clk)
        for port in ports:
            port.sample()
        stalls("")


def observe(dut: Any, op: Operation, name: str, lanes: int, contexts: int) -> None:
    """From now on, count; nothing where nobody asked for it."""
    if FILE not in os.environ:
        return
    streams = [(f"s_axis_{stream}", stream, op.stream_format(stream)) for stream in op.streams]
    ports = [
        Port(dut, prefix, f"{name}.{stream}", fmt, 1 if stream == "ids" else lanes, contexts)
        for prefix, stream, fmt in [*streams, ("m_axis", "y", op.out)]
    ]
    states = [f"{name}.{stream}.state" for stream in (op.streams[0], "y")]
    cocotb.start_soon(_watch(dut, ports, CoverCross(f"{name}.stalls", items=states)(lambda value: None)))


def write() -> None:
    """The counts of this process so far, where they were asked for."""
    if FILE in os.environ:
        coverage_db.export_to_yaml(os.environ[FILE])


def merged(files: list[Path], into: Path) -> Mapping[str, Mapping[str, int]]:
    """Hits by point and bin over several files, which ``into`` gets as one."""
    import yaml

    merge_coverage(logging.getLogger(__name__).debug, str(into), *map(str, files))
    found = yaml.safe_load(into.read_text())
    return {name: entry["bins:_hits"] for name, entry in found.items() if "bins:_hits" in entry}
