"""Frames of the serial line: what the board sends is what the host's driver reads, and the other way round."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.driver.serial import END, ESCAPE, Frames, framed
from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, start, until

SPECIAL = (END, ESCAPE, 0xDC, 0xDD)


def contents(rng: random.Random) -> list[bytes]:
    """Of frames: any bytes, and many that are escaped."""
    kinds = (range(256), SPECIAL)
    return [bytes(rng.choice(kinds[n % 2]) for _ in range(rng.choice([1, 2, 12, 40]))) for n in range(30)]


async def offer(dut: Any, beats: list[tuple[int, int]], idle: float, rng: random.Random) -> None:
    """Bytes, each with its `s_last` where the module has one."""
    for byte, last in beats:
        while rng.random() < idle:
            dut.s_valid.value = 0
            await RisingEdge(dut.clk)
        dut.s_data.value, dut.s_valid.value = byte, 1
        if hasattr(dut, "s_last"):
            dut.s_last.value = last
        await RisingEdge(dut.clk)
        while not int(dut.s_ready.value):
            await RisingEdge(dut.clk)
    dut.s_valid.value = 0


@cocotb.test()
@cocotb.parametrize(idle=(0, 0.5), stall=(0, 0.5))
async def sends(dut: Any, idle: float, stall: float) -> None:
    rng, frames = random.Random(1), Frames()
    due, got = contents(rng), []
    line = bytearray()
    await start(dut, s_valid=0, m_ready=0)
    beats = [(byte, int(n == len(one) - 1)) for one in due for n, byte in enumerate(one)]
    cocotb.start_soon(offer(dut, beats, idle, random.Random(2)))

    async def watch() -> None:
        held: int | None = None
        while True:
            taken = int(dut.m_ready.value) and int(dut.m_valid.value)
            if int(dut.m_valid.value):
                byte = int(dut.m_data.value)
                assert held in (None, byte), "a byte changed while it was offered"
                held = None if taken else byte
                if taken:
                    line.append(byte)
            dut.m_ready.value = int(rng.random() >= stall)
            await RisingEdge(dut.clk)

    cocotb.start_soon(watch())
    await until(dut, lambda: line.count(END) == 2 * len(due))
    got = list(frames.feed(bytes(line)))
    assert got == due
    assert bytes(line) == b"".join(framed(one) for one in due), "as the host would have sent it"


@cocotb.test()
@cocotb.parametrize(stall=(0, 0.5))
async def receives(dut: Any, stall: float) -> None:
    """Whole frames, and damaged ones: a flipped bit, a lost byte, an END too many, one that ends inside an escape."""
    rng = random.Random(3)
    due, line = [], bytearray()
    for one in contents(rng):
        frame = bytearray(framed(one))
        harm = rng.choice(["none", "none", "flip", "lose", "escape"])
        if harm == "flip":
            frame[rng.randrange(1, len(frame) - 1)] ^= 1 << rng.randrange(8)
        elif harm == "lose":
            del frame[rng.randrange(1, len(frame) - 1)]
        elif harm == "escape":
            frame.insert(len(frame) - 1, ESCAPE)
        line += frame
    due = list(Frames().feed(bytes(line)))
    assert len(due) > 10
    got: list[bytes] = []
    begun = bytearray()
    await start(dut, s_valid=0, m_ready=1)
    sent = cocotb.start_soon(offer(dut, [(byte, 0) for byte in line], 0.2, random.Random(4)))
    for _ in range(200_000):
        if sent.done():
            break
        await RisingEdge(dut.clk)
        if int(dut.s_valid.value) and int(dut.m_ready.value):
            if int(dut.ends.value):
                if int(dut.whole.value):
                    got.append(bytes(begun[:-4]))
                begun.clear()
            elif int(dut.m_valid.value):
                begun.append(int(dut.m_data.value))
        dut.m_ready.value = int(rng.random() >= stall)
    assert [one for one in got if one] == due


TESTS = {"frame_tx": "sends", "frame_rx": "receives"}


def run(module: str, folder: Path, files: list[Path]) -> None:
    simulator.build(files, module, folder)
    simulator.run(module, __name__, folder, {"COCOTB_TEST_FILTER": TESTS[module]})


@pytest.mark.parametrize("module", TESTS)
def test_frames_are_the_hosts(module: str) -> None:
    run(module, BUILD.resolve() / module, sources(module))


@pytest.mark.parametrize(
    ("module", "whole", "instead"),
    [
        ("frame_tx", "special && !escaped_q", "1'b0"),
        ("frame_tx", "value[8*place_q+:8]", "value[7:0]"),
        ("frame_rx", "right && !escaped_q", "1'b1"),
        ("frame_rx", "s_data == EscapedEnd ? End", "s_data == EscapedEnd ? Escape"),
    ],
)
def test_a_frame_that_errs_is_noticed(module: str, whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run(module, *broken(module, whole, instead))
