"""Rates on boards by hand, and what bounds them."""

from __future__ import annotations

import pytest

from spikegpt_hls.sim.dram import drams
from spikegpt_hls.sim.parts import named, parts
from spikegpt_hls.sim.rates import memory_pj, on_boards, served, tokens_per_second


def test_a_memory_that_keeps_up_leaves_the_cycles_as_they_are() -> None:
    assert tokens_per_second(1000, 4000, 64, gb_per_s=0.8, clock=100) == 1e5
    assert tokens_per_second(1000, 4000, 64, gb_per_s=80, clock=100) == 1e5


def test_a_slow_memory_stretches_the_cycles_in_which_the_bus_moves() -> None:
    """500 of 1000 cycles move 8 bytes; at a quarter of the port's 800 MB/s they are 2000."""
    assert tokens_per_second(1000, 4000, 64, gb_per_s=0.2, clock=100) == pytest.approx(1e8 / 2500)


def test_boards_whose_memory_is_too_small_are_left_out() -> None:
    (ulx3s,) = named("LFE5U-85F")
    small, large = (on_boards(1000, 4000, 64, size << 20, lambda page: 4000 / page) for size in (31, 33))
    assert small.keys() - large.keys() == {ulx3s.name}
    assert small[ulx3s.name]["bound"] == "memory"
    assert small["XCU55C"]["bound"] == "port"
    assert small["XCU55C"]["tokens_per_s"] == served()["Alveo U55C"].clock_mhz * 1e6 / 1000


def test_a_board_gives_what_its_controller_leaves() -> None:
    """All of 1000 cycles move 8 bytes at 50 MHz, 400 MB/s; an SDRAM of 100 MB/s gives less where events choose rows."""
    here = served()["ULX3S"]
    for gathers, share in ((True, here.gathered), (False, here.dense)):
        found = on_boards(1000, 8000, 64, 1 << 20, lambda page: 8000 / page, gathers)["LFE5U-85F"]
        assert found["gb_per_s"] == pytest.approx(0.1 * share)
        assert found["tokens_per_s"] == pytest.approx(50e6 / (1000 * 4 / share))


def test_every_board_is_served_with_a_source() -> None:
    assert served().keys() == {part.board.name for part in parts()}
    assert all(0 < here.gathered <= here.dense < 1 and here.source for here in served().values())


def test_a_memory_spends_on_bits_and_on_rows_what_its_currents_say() -> None:
    """DDR3: 1.35 V * 188 mA over 25.6 Gbit/s, and 1.35 V * (66 mA * 48.75 ns - 47 mA * 35 ns - 32 mA * 13.75 ns);
    a Kria's memory has four chips of DDR4, which open their rows together."""
    chip = drams()["DDR3"]
    assert chip.bit_pj == pytest.approx(0.2538 / 25.6e9 * 1e12)
    assert chip.row_pj == pytest.approx(1.35 * (3217.5 - 1645 - 440))
    (kria,) = named("XCK26")
    ddr4 = drams()["DDR4"]
    spent = memory_pj(kria.board, 1000, {8192: 3}.__getitem__)
    assert spent == pytest.approx(8000 * ddr4.bit_pj + 12 * ddr4.row_pj)
    assert all(part.board.dram in drams() for part in parts())
