"""The multipliers of a Linear: every row's product is exact, however many rows share one multiplier.

The cocotb test below runs inside the simulation that the pytest functions build.
"""

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from spikegpt_hls.hls.rtl.blocks import SOURCES
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.marks import slow

SUM_BITS = 24
STAGES = 2


def extremes(weight: Format, x: Format, pe: int, simd: int) -> tuple[Ints, Ints]:
    """Weights (cases, PE, SIMD) and inputs (cases, SIMD): every extreme beside every other in up to three neighbouring
    rows, then corners and the whole range at random."""
    rng = np.random.default_rng(pe)
    ends = np.unique([-weight.hi, -1, 0, 1, weight.hi])
    inputs = np.unique([x.lo, x.lo + 1, max(x.lo, -1), 0, 1, x.hi])
    rows = np.array(list(product(*[ends] * min(pe, 3), inputs)))
    weights = np.resize(rows[:, :-1].T, (pe, len(rows))).T
    random = rng.integers(-weight.hi, weight.hi + 1, (1000, pe, simd))
    corners = rng.choice(ends, (1000, pe, simd))
    w = np.concatenate([np.repeat(weights[:, :, None], simd, axis=2), corners, random])
    drawn = np.concatenate([rng.choice(inputs, (1000, simd)), rng.integers(x.lo, x.hi + 1, (1000, simd))])
    return w, np.concatenate([np.repeat(rows[:, -1:], simd, axis=1), drawn])


def run(weight: Format, x: Format, pe: int, simd: int, cases: tuple[Ints, Ints], **changes: int) -> None:
    values = {"PE": pe, "SIMD": simd, "X_BITS": x.bits, "X_SIGNED": int(x.signed), "WEIGHT_BITS": weight.bits}
    values |= {"SUM_BITS": SUM_BITS, **changes}
    folder = BUILD.resolve() / f"products_{'_'.join(map(str, values.values()))}"
    w, inputs = cases
    words = pack(w.reshape(len(w), -1), weight.bits).words, pack(inputs, x.bits).words
    sums = np.einsum("nps,ns->np", w, inputs)
    simulator.build([SOURCES / "products.sv"], "products", folder, values)
    (folder / "case.json").write_text(json.dumps([*words, (sums % (1 << SUM_BITS)).tolist()]))
    simulator.run("products", "spikegpt_hls.rtl_tests.cells.test_products", folder, {"CASE": str(folder / "case.json")})


@cocotb.test()
async def sums_are_exact(dut: Any) -> None:
    weights, inputs, sums = json.loads(Path(os.environ["CASE"]).read_text())
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for cycle in range(len(sums) + STAGES):
        if cycle < len(sums):
            dut.weight.value = weights[cycle]
            dut.x.value = inputs[cycle]
        await RisingEdge(dut.clk)  # what is read here was clocked an edge before
        case = cycle - STAGES
        if case >= 0:
            word, carry = int(dut.sum.value), int(dut.carry.value)
            for row, due in enumerate(sums[case]):
                have = (word >> (row * SUM_BITS)) + (carry >> row & 1)
                assert have % (1 << SUM_BITS) == due, f"case {case}, row {row}: {have % (1 << SUM_BITS)}, not {due}"


@pytest.mark.parametrize(
    ("weight", "x", "pe", "simd", "changes"),
    [
        (8, Format(8, 0), 4, 1, {}),  # two rows, apart
        (8, Format(8, 0, signed=False), 5, 1, {}),  # an odd row is left
        slow(8, Format(8, 0), 1, 2, {}),
        (8, Format(8, 0), 4, 8, {}),  # an overlap of one bit
        (8, Format(12, 0), 3, 1, {}),  # too wide to be shared
        slow(8, Format(18, 0), 2, 1, {}),
        (8, Format(1, 0, signed=False), 3, 2, {}),  # spikes
        slow(6, Format(8, 0), 4, 1, {}),
        (4, Format(8, 0), 7, 1, {}),  # three rows, an overlap of one bit
        slow(4, Format(8, 0, signed=False), 4, 1, {}),
        slow(4, Format(8, 0), 6, 4, {}),
        (4, Format(4, 0), 8, 1, {}),  # four rows, apart
        slow(4, Format(4, 0, signed=False), 6, 1, {}),
        (4, Format(8, 0), 8, 1, {"MAX_OVERLAP": 4}),  # four rows that share four bits
        (4, Format(8, 0, signed=False), 6, 2, {"MAX_OVERLAP": 3}),
        (4, Format(8, 0), 5, 1, {"WIDE": 18}),  # a multiplier of 18 x 18 bits
        (2, Format(8, 0), 3, 1, {}),
        (2, Format(8, 0, signed=False), 2, 4, {}),
        (2, Format(1, 0, signed=False), 2, 4, {}),
    ],
)
def test_products_are_exact(weight: int, x: Format, pe: int, simd: int, changes: dict[str, int]) -> None:
    fmt = Format(weight, 0)
    run(fmt, x, pe, simd, extremes(fmt, x, pe, simd), **changes)


def test_a_weight_that_is_not_symmetric_is_noticed() -> None:
    """The most negative weight above a negative one does not fit the multiplier: why weights are symmetric."""
    weights, x = np.array([[[-1], [-128]]]), np.array([[3]])
    with pytest.raises(AssertionError, match="case 0, row 1"):
        run(Format(8, 0), Format(8, 0), 2, 1, (weights, x), PE=2)
