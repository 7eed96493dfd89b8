"""Rates on boards by hand, and what bounds them."""

from __future__ import annotations

import pytest

from spikegpt_hls.sim.parts import named
from spikegpt_hls.sim.rates import CLOCK, on_boards, tokens_per_second


def test_a_memory_that_keeps_up_leaves_the_cycles_as_they_are() -> None:
    assert tokens_per_second(1000, 4000, 64, gb_per_s=0.8, clock=100) == 1e5
    assert tokens_per_second(1000, 4000, 64, gb_per_s=80, clock=100) == 1e5


def test_a_slow_memory_stretches_the_cycles_in_which_the_bus_moves() -> None:
    """500 of 1000 cycles move 8 bytes; at a quarter of the port's 800 MB/s they are 2000."""
    assert tokens_per_second(1000, 4000, 64, gb_per_s=0.2, clock=100) == pytest.approx(1e8 / 2500)


def test_boards_whose_memory_is_too_small_are_left_out() -> None:
    (ulx3s,) = named("LFE5U-85F")
    small, large = on_boards(1000, 4000, 64, 31 << 20), on_boards(1000, 4000, 64, 33 << 20)
    assert small.keys() - large.keys() == {ulx3s.name}
    assert small[ulx3s.name]["bound"] == "memory"
    assert small["XCU55C"]["bound"] == "port"
    assert small["XCU55C"]["tokens_per_s"] == CLOCK * 1e6 / 1000
