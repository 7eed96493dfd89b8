"""Named parts: sourced, and a design fits one where it needs no more of anything."""

from spikegpt_hls.sim.parts import KINDS, fits, parts, shares


def test_every_part_has_a_source_and_its_family_is_one_that_is_synthesised() -> None:
    assert len(parts()) == 7
    assert {part.family for part in parts()} == {"xc7", "ecp5"}
    assert all(part.source for part in parts())
    assert [part.lut for part in parts("ecp5")] == sorted(part.lut for part in parts("ecp5"))


def test_a_design_as_large_as_a_part_fits_and_one_more_of_anything_does_not() -> None:
    for part in parts():
        all_of_it = {kind: getattr(part, kind) for kind in KINDS}
        assert fits(all_of_it, part)
        assert set(shares(all_of_it, part).values()) == {1}
        for kind in KINDS:
            assert not fits({**all_of_it, kind: all_of_it[kind] + 0.5}, part)
