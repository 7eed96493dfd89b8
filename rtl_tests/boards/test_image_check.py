"""SHA-256 in hardware against ``hashlib``, and the check of an image that reads it from a memory."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, start, until

BYTES, HEADER = 4096 + 1024, 4096
IMAGE = random.Random(7).randbytes(BYTES)


@cocotb.test()
async def hashes(dut: Any) -> None:
    """Messages of 1 to 5 blocks one after the other, with pauses; the standard's own of all zeros among them."""
    rng = random.Random(5)
    await start(dut, s_valid=0)
    for message in (bytes(64), *(rng.randbytes(64 * blocks) for blocks in (1, 2, 5))):
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        for at in range(0, len(message), 8):
            while rng.random() < 0.3:
                dut.s_valid.value = 0
                await RisingEdge(dut.clk)
            dut.s_data.value = int.from_bytes(message[at : at + 8], "little")
            dut.s_valid.value, dut.s_last.value = 1, int(at + 8 == len(message))
            await RisingEdge(dut.clk)
            while not int(dut.s_ready.value):
                await RisingEdge(dut.clk)
        dut.s_valid.value = 0
        await until(dut, lambda: int(dut.done.value), 1000)
        assert int(dut.digest.value) == int(hashlib.sha256(message).hexdigest(), 16)


@cocotb.test()
async def checks(dut: Any) -> None:
    """The right image, one with another bit, one that is read while the port is reset, and the right one again."""
    rng = random.Random(6)
    asked: list[int] = []
    content = bytearray(IMAGE)
    await start(dut, start=0, stop=0, m_axi_arready=0, m_axi_rvalid=0)

    async def memory() -> None:
        while True:
            await RisingEdge(dut.clk)
            if int(dut.m_axi_arvalid.value) and int(dut.m_axi_arready.value):
                first = int(dut.m_axi_araddr.value)
                asked.extend(range(first, first + 8 * (int(dut.m_axi_arlen.value) + 1), 8))
            if int(dut.m_axi_rvalid.value) and int(dut.m_axi_rready.value):
                asked.pop(0)
            offered = bool(asked) and rng.random() < 0.7
            dut.m_axi_rvalid.value = int(offered)
            if offered:
                dut.m_axi_rdata.value = int.from_bytes(content[asked[0] : asked[0] + 8], "little")
            dut.m_axi_arready.value = int(rng.random() < 0.5)

    cocotb.start_soon(memory())

    async def verdict(stop: bool = False) -> tuple[int, int]:
        dut.start.value = 1
        await RisingEdge(dut.clk)
        dut.start.value = 0
        await RisingEdge(dut.clk)
        if stop:
            for _ in range(100):
                await RisingEdge(dut.clk)
            dut.stop.value = 1
            await RisingEdge(dut.clk)
            dut.stop.value = 0
            asked.clear()
            await RisingEdge(dut.clk)
        await until(dut, lambda: not int(dut.busy.value))
        return int(dut.good.value), int(dut.bad.value)

    assert await verdict() == (1, 0)
    content[HEADER + 700] ^= 4
    assert await verdict() == (0, 1)
    content[HEADER + 700] ^= 4
    assert await verdict(stop=True) == (0, 0)
    content[100] ^= 1  # the header is not in the digest
    assert await verdict() == (1, 0)


TESTS = {"sha256": "hashes", "image_check": "checks"}


def run(module: str, folder: Path, files: list[Path]) -> None:
    digest = hashlib.sha256(IMAGE[HEADER:]).hexdigest()
    parameters = {"BYTES": BYTES, "HEADER": HEADER, "DIGEST": f"256'h{digest}"} if module == "image_check" else {}
    simulator.build(files, module, folder, parameters)
    simulator.run(module, __name__, folder, {"COCOTB_TEST_FILTER": TESTS[module]})


@pytest.mark.parametrize("module", TESTS)
def test_a_digest_is_the_standards(module: str) -> None:
    run(module, BUILD.resolve() / module, sources(module))


@pytest.mark.parametrize(
    ("module", "whole", "instead"),
    [
        ("sha256", "turned(e, 25)", "turned(e, 24)"),
        ("sha256", "64'(blocks_q) << 9", "64'(blocks_q) << 8"),
        ("image_check", "digest != DIGEST", "1'b0"),
        ("image_check", "32'(BYTES) - (32'(ask_q) << 3)", "32'(HEADER)"),
    ],
)
def test_a_digest_that_errs_is_noticed(module: str, whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run(module, *broken(module, whole, instead))
