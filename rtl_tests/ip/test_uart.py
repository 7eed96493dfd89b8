"""Serial line and lines of text: the receiver, the sender and the prompt's packets, each by itself."""

import random
from itertools import groupby
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, drive, start, until, watch
from spikegpt_hls.rtl_tests.ip.uart import Uart

DIVIDER = 40
TEXT = bytes(random.Random(1).randrange(256) for _ in range(60)) + bytes([0, 255, 0x55, 0xAA])


@cocotb.test()
@cocotb.parametrize(divider=(DIVIDER, DIVIDER - 1, DIVIDER + 1))
async def receives(dut: Any, divider: int) -> None:
    """A terminal whose clock is up to 2.5 % fast or slow, with pauses between bytes or none."""
    got = bytearray()

    async def listen() -> None:
        while True:
            await RisingEdge(dut.clk)
            if int(dut.m_axis_tvalid.value):
                got.append(int(dut.m_axis_tdata.value))

    await start(dut, rxd=1)
    cocotb.start_soon(listen())
    terminal = Uart(dut.rxd, dut.m_axis_tdata, 10 * divider)
    rng = random.Random(2)
    for byte in TEXT:
        await terminal.type(bytes([byte]))
        await ClockCycles(dut.clk, rng.choice([0, 0, 1, 7, 100]) + 1)
    dut.rxd.value = 0  # a line that is held low is no byte
    await ClockCycles(dut.clk, 11 * DIVIDER)
    assert bytes(got) == TEXT


@cocotb.test()
@cocotb.parametrize(idle=(0, 0.99))
async def sends(dut: Any, idle: float) -> None:
    await start(dut, s_axis_tvalid=0)
    terminal = Uart(dut.s_axis_tdata, dut.txd, 10 * DIVIDER)
    cocotb.start_soon(terminal.listen())
    sent = cocotb.start_soon(drive(dut, "s_axis", [{"tdata": byte} for byte in TEXT], idle, 3))
    await terminal.wait(len(TEXT), 500)
    assert bytes(terminal.received) == TEXT
    assert sent.done()


@cocotb.test()
@cocotb.parametrize(pace=range(4))
async def splits_lines(dut: Any, pace: int) -> None:
    """Every line that is not empty is a packet: whatever ends it, whoever stalls."""
    idle, stall = ((0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4))[pace]
    rng = random.Random(pace)
    text = bytes(rng.choice([10, 13, 65, 66, 67, 255]) for _ in range(300)) + b"Z\n"
    lines = [bytes(line) for ends, line in groupby(text, lambda byte: byte in b"\r\n") if not ends]
    due = [
        {"tdata": byte, "tlast": int(n == len(line) - 1), "tuser": int(n == 0)}
        for line in lines
        for n, byte in enumerate(line)
    ]
    got: list[dict[str, int]] = []
    await start(dut, s_axis_tvalid=0)
    cocotb.start_soon(watch(dut, "m_axis", "tdata tlast tuser", stall, 1, got))
    cocotb.start_soon(drive(dut, "s_axis", [{"tdata": byte} for byte in text], idle, 2))
    await until(dut, lambda: len(got) >= len(due))
    assert got == due


TESTS = {"uart_rx": "receives", "uart_tx": "sends", "prompt": "splits_lines"}


def run(module: str, folder: Path, files: list[Path]) -> None:
    simulator.build(files, module, folder, {} if module == "prompt" else {"DIVIDER": DIVIDER})
    simulator.run(module, __name__, folder, {"COCOTB_TEST_FILTER": TESTS[module]})


@pytest.mark.parametrize("module", TESTS)
def test_bytes_arrive(module: str) -> None:
    run(module, BUILD.resolve() / module, sources(module))


@pytest.mark.parametrize(
    ("module", "whole", "instead"),
    [
        ("uart_rx", "DIVIDER + DIVIDER / 2 - 1", "DIVIDER / 4"),
        ("uart_rx", "middle && line_q[1]", "middle"),
        ("uart_tx", "4'd10", "4'd9"),
        ("prompt", "held_q <= !ends", "held_q <= 1'b1"),
        ("prompt", "if (held_q) first_q", "first_q"),
    ],
)
def test_a_line_that_errs_is_noticed(module: str, whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run(module, *broken(module, whole, instead))
