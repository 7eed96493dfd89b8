"""The quotient of the WKV: exact for every numerator and divisor in its range, and next to every boundary of a result.

The cocotb test below runs inside the simulation that the pytest functions build.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.rtl.blocks import SOURCES
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.marks import slow

DIVISOR_BITS = 24
CASES = 20_000


def cases(up: int, reach: int) -> tuple[Ints, Ints]:
    """Means up to a tenth beyond their range, anywhere and at half steps; divisors anywhere and at their ends."""
    rng = np.random.default_rng(reach)
    low, high = 1 << (DIVISOR_BITS - 3), 3 << (DIVISOR_BITS - 2)
    d = rng.integers(low, high, CASES)
    ends = rng.choice([low, low + 1, 2 * low, 2 * low - 1, 4 * low - 1, 4 * low, high - 1], CASES)
    d = np.where(rng.random(CASES) < 0.3, ends, d)
    steps = 1 << (up + 1 + reach)  # half steps of the quotient
    mean = np.where(rng.random(CASES) < 0.5, rng.uniform(-1.1, 1.1, CASES) * steps, rng.integers(-steps, steps, CASES))
    n = (mean * d).astype(np.int64) // (1 << (up + 1)) + rng.integers(-1, 2, CASES)
    return n, d


def run(v: Format, out: Format, edit: tuple[str, str] | None = None) -> None:
    up, reach = out.frac - v.frac, v.bits - v.signed
    values = {"NUMERATOR_BITS": DIVISOR_BITS + reach + 1, "DIVISOR_BITS": DIVISOR_BITS, "UP": up, "REACH": reach}
    values |= {"OUT_BITS": out.bits, "OUT_SIGNED": int(out.signed)}
    folder = BUILD.resolve() / f"divider_{'_'.join(map(str, values.values()))}{'_edited' if edit else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    text = (SOURCES / "divider.sv").read_text()
    (folder / "divider.sv").write_text(text.replace(*edit) if edit else text)
    simulator.build([folder / "divider.sv", SOURCES / "multiply.sv"], "divider", folder, values)
    n, d = cases(up, reach)
    due = out.saturate(np.floor_divide((n << (up + 1)) + d, 2 * d))
    (folder / "case.json").write_text(json.dumps([reach + up + 4, n.tolist(), d.tolist(), due.tolist()]))
    simulator.run("divider", "spikegpt_hls.rtl_tests.cells.test_divider", folder, {"CASE": str(folder / "case.json")})


@cocotb.test()
async def quotients_are_exact(dut: Any) -> None:
    stages, numerators, divisors, quotients = json.loads(Path(os.environ["CASE"]).read_text())
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    mask = (1 << len(dut.n)) - 1
    for cycle in range(len(quotients) + stages):
        if cycle < len(quotients):
            dut.n.value = numerators[cycle] & mask
            dut.d.value = divisors[cycle]
        await RisingEdge(dut.clk)  # what is read here was clocked an edge before
        case = cycle - stages
        if case >= 0:
            have, due = int(dut.quotient.value), quotients[case] % (1 << len(dut.quotient))
            assert have == due, f"case {case}: {numerators[case]} / {divisors[case]} is {have}, not {due}"


@pytest.mark.parametrize(
    ("v", "out"),
    [
        (Format(8, 5), Format(10, 7)),
        slow(Format(8, 4), Format(8, 3)),
        (Format(8, 8), Format(6, 7)),  # saturates
        slow(Format(4, 2), Format(12, 9)),
        slow(Format(8, 6, signed=False), Format(8, 6, signed=False)),
        (Format(8, 4), Format(16, 10)),  # more digits, each of less weight
    ],
)
def test_quotients_are_exact(v: Format, out: Format) -> None:
    run(v, out)


def test_a_remainder_left_out_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"case \d+"):
        run(Format(8, 5), Format(10, 7), ("!remainder2[RemainderBits-1]", "1'b1"))
