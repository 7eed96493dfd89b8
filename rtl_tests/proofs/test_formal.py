"""Every block keeps the rules of its streams, and its mutant does not (docs/verification.md has what is proved)."""

from pathlib import Path

import pytest

from spikegpt_hls.rtl_tests.proofs.claims import CASES
from spikegpt_hls.rtl_tests.proofs.formal import prove


@pytest.mark.parametrize("name", CASES)
def test_streams_keep_their_rules(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    verdict = prove(case.claim, case.files, tmp_path, depth=case.depth)
    print(f"{name}: {verdict}")
    assert not verdict.broken
    assert verdict.proved if case.depth is None else verdict.depth >= case.depth - 1


@pytest.mark.parametrize("name", CASES)
def test_a_mutant_breaks_them(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    verdict = prove(case.claim, case.files, tmp_path, case.mutant, depth=case.depth)
    assert verdict.broken, f"the mutant of {name} is {verdict}"
