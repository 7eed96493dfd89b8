"""Named parts: sourced, and a design fits one where it needs no more of anything."""

import pytest

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.offchip import Supply
from spikegpt_hls.sim.parts import KINDS, fits, named, parts, shares


def test_every_part_has_a_source_and_its_family_is_one_that_is_synthesised() -> None:
    assert {part.name for part in parts()} >= {"XC7A100T", "XC7Z020", "XCK26", "XCU55C", "LFE5U-85F"}
    assert {part.family for part in parts()} == {"xc7", "ecp5"}
    assert all(part.source and part.board.source for part in parts())
    assert [part.lut for part in parts("ecp5")] == sorted(part.lut for part in parts("ecp5"))


def test_a_design_as_large_as_a_part_fits_and_one_more_of_anything_does_not() -> None:
    for part in parts():
        all_of_it = {kind: getattr(part, kind) for kind in KINDS}
        assert fits(all_of_it, part)
        assert set(shares(all_of_it, part).values()) == {1}
        for kind in KINDS:
            assert not fits({**all_of_it, kind: all_of_it[kind] + 0.5}, part)


def test_a_memory_gives_so_many_bytes_in_a_cycle_of_the_clock() -> None:
    """19.2 GB/s are 192 bytes in 10 ns; 107 ns are 10.7 cycles, so the first byte comes in the 11th."""
    (kria,) = named("XCK26")
    assert kria.board.supply(100) == Supply(192, 4096, 11)
    assert kria.board.supply(200) == Supply(96, 4096, 22)
    assert kria.peak_macs(100) == 1248 * 2 * 100e6


def test_an_unknown_part_is_told_the_known_ones() -> None:
    with pytest.raises(SimulationError, match=r"unknown part 'XC7': choose one of LFE5U-25F, .*XCU55C"):
        named("XC7")
    assert named(None) == parts()
