"""Driving and watching an AXI4-Stream port signal by signal, where a bench needs every wire of every beat."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests.bench import BUILD

Beat = Mapping[str, int]


def broken(module: str, whole: str, instead: str) -> tuple[Path, list[Path]]:
    """A folder for, and the files of, a module in which ``whole`` reads ``instead``: what a bench must not let pass."""
    path, *others = sources(module)
    text = path.read_text()
    assert whole in text
    folder = BUILD.resolve() / f"{module}_{hashlib.sha256(instead.encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).write_text(text.replace(whole, instead))
    return folder, [folder / path.name, *others]


async def start(dut: Any, **inputs: int) -> None:
    """Clock and reset; ``inputs`` are set before."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


async def drive(dut: Any, prefix: str, beats: Iterable[Beat], idle: float, seed: int) -> None:
    """Offer ``beats`` (wire: value) one after the other, with pauses in a share ``idle`` of the cycles."""
    rng = random.Random(seed)
    valid, ready = (getattr(dut, f"{prefix}_t{wire}") for wire in ("valid", "ready"))
    valid.value = 0
    for beat in beats:
        while rng.random() < idle:
            await RisingEdge(dut.clk)
        valid.value = 1
        for wire, value in beat.items():
            getattr(dut, f"{prefix}_{wire}").value = value
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        valid.value = 0


async def watch(dut: Any, prefix: str, wires: str, stall: float, seed: int, into: list[dict[str, int]]) -> None:
    """Take beats for ever, refusing in a share ``stall`` of the cycles; what is offered must stay until it is taken."""
    rng = random.Random(seed)
    valid, ready = (getattr(dut, f"{prefix}_t{wire}") for wire in ("valid", "ready"))
    offered: dict[str, int] | None = None
    takes = False
    ready.value = 0
    while True:
        await RisingEdge(dut.clk)
        beat = {w: int(getattr(dut, f"{prefix}_{w}").value) for w in wires.split()} if int(valid.value) else None
        assert offered is None or beat == offered, f"{prefix} withdrew or changed {offered}: {beat}"
        if beat is not None and takes:
            into.append(beat)
        offered = None if takes else beat
        takes = rng.random() >= stall
        ready.value = int(takes)


async def until(dut: Any, condition: Any, cycles: int = 20_000) -> None:
    """Wait until ``condition()``; AssertionError where it does not come."""
    for _ in range(cycles):
        if condition():
            return
        await RisingEdge(dut.clk)
    raise AssertionError(f"still waiting after {cycles} cycles")
