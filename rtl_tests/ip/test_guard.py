"""The guard: packets as they should be pass, every malformed one is cut, marked, reported and drained, whoever stalls.

The cocotb test runs inside the simulation that the pytest functions build.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from spikegpt_hls.hls.ip.writer import sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.ports import broken, drive, start, until, watch

VOCABULARY, CONTEXTS = 11, 3
UNKNOWN, SHORT, LONG, NOWHERE = 1, 2, 4, 8
Packet = tuple[int, list[int]]  # context, ids


def packets(length: int, seed: int) -> list[Packet]:
    """Random packets, half of them with something wrong where ``length`` says what is right."""
    rng = random.Random(seed)
    made = []
    for _ in range(120):
        size = length if length and rng.random() < 0.5 else rng.randint(1, 7)
        ids = [rng.randrange(VOCABULARY) for _ in range(size)]
        if rng.random() < 0.2:
            ids[rng.randrange(size)] = rng.choice([VOCABULARY, 15, 16, 256, 2**24 - 1])
        made.append((rng.choice([0, 1, 2, 2, 3] if seed % 2 else [0, 1, 2]), ids))
    return made


def meaning(
    stream: Sequence[Packet], length: int, resume: bool, longest: int
) -> tuple[list[dict], list[tuple[int, int, int]]]:
    """The beats that pass, and (kind, position, id) of every fault."""
    beats, faults = [], []
    for context, ids in stream:
        for position, token in enumerate(ids):
            ends = position == len(ids) - 1
            kind = (
                NOWHERE if context >= CONTEXTS
                else UNKNOWN if token >= VOCABULARY
                else SHORT if ends and length and position + 1 < length
                else LONG if not ends and position + 1 in (length, longest)
                else 0
            )  # fmt: skip
            if kind:
                faults.append((kind, position, token))
            if kind != NOWHERE:
                user = (2 if kind else 0) + (position == 0 and not resume)
                known = 0 if kind == UNKNOWN else token
                beats.append({"tdata": known, "tlast": int(ends or kind > 0), "tuser": user, "tid": context})
            if kind:
                break
    return beats, faults


def words(stream: Sequence[Packet]) -> list[dict[str, int]]:
    """The beats that are sent. In every other packet the words say the context, in the rest only the first tid."""
    return [
        {
            "tdata": token + (context << 24) * (number % 2),
            "tlast": int(place == len(ids) - 1),
            "tid": (context if place == 0 else (context + place) % 4) * (number % 2 == 0),
        }
        for number, (context, ids) in enumerate(stream)
        for place, token in enumerate(ids)
    ]


@cocotb.test()
@cocotb.parametrize(seed=range(8))
async def guards(dut: Any, seed: int) -> None:
    length, resume = (0, 4, 1, 4)[seed % 4], seed // 4
    idle, stall = ((0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4))[seed % 4]
    stream = packets(length, seed)
    beats, faults = meaning(stream, length, bool(resume), int(dut.LONGEST.value))
    assert seed % 4 > 1 or not length or len({kind for kind, *_ in faults}) >= 3
    got: list[dict[str, int]] = []
    reported: list[tuple[int, int, int]] = []

    async def listen() -> None:
        while True:
            await RisingEdge(dut.clk)
            if int(dut.fault.value):
                reported.append((int(dut.fault.value), int(dut.fault_position.value), int(dut.fault_id.value)))

    await start(dut, run=0, resume=resume, length=length, s_axis_tvalid=0)
    cocotb.start_soon(watch(dut, "m_axis", "tdata tlast tuser tid", stall, seed + 1, got))
    cocotb.start_soon(listen())
    sent = cocotb.start_soon(drive(dut, "s_axis", words(stream), idle, seed))
    await ClockCycles(dut.clk, 20)
    assert not got, "ids pass before the guard is started"
    dut.run.value = 1
    await until(dut, lambda: sent.done() and len(got) >= len(beats))
    await ClockCycles(dut.clk, 20)
    for number, (have, due) in enumerate(zip(got, beats, strict=True)):
        assert have == due, f"beat {number} is {have}, not {due}"
    assert reported == faults


def run(folder: Path, files: list[Path], longest: int = 0) -> None:
    shape = {"VOCABULARY": VOCABULARY, "IDS_BITS": 4, "CONTEXTS": CONTEXTS, "LONGEST": longest}
    simulator.build(files, "guard", folder, shape)
    simulator.run("guard", __name__, folder, {})


def test_malformed_packets_are_cut_reported_and_drained() -> None:
    run(BUILD.resolve() / "guard", sources("guard"))


def test_a_packet_that_is_longer_than_any_may_be_is_cut() -> None:
    run(BUILD.resolve() / "guard_longest", sources("guard"), longest=3)


@pytest.mark.parametrize(
    ("whole", "instead"),
    [
        ("draining_q <= (draining_q || bad) && !s_axis_tlast", "draining_q <= bad && !s_axis_tlast"),
        ("s_axis_tdata[23:0] >= 24'(VOCABULARY)", "s_axis_tdata[23:0] > 24'(VOCABULARY)"),
        (".s_valid(judged && !nowhere)", ".s_valid(take && !nowhere)"),
    ],
)
def test_a_guard_that_lets_something_pass_is_noticed(whole: str, instead: str) -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run(*broken("guard", whole, instead))
