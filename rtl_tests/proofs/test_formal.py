"""Every block keeps the rules of its streams, and its mutant does not (docs/verification.md has what is proved)."""

from pathlib import Path

import pytest

from spikegpt_hls.rtl_tests.marks import slow
from spikegpt_hls.rtl_tests.proofs.claims import CASES
from spikegpt_hls.rtl_tests.proofs.formal import prove

#: Claims whose proof takes a minute or more, and the cycles that a search without a proof looks at instead.
LONG = (
    "stream_join",
    "squared_relu",
    "gate",
    "residual",
    "residual of numbers",
    "lif",
    "lif, two contexts",
    "token_shift",
)
SEARCHED = 10


def prove_case(name: str, folder: Path, depth: int | None) -> None:
    case = CASES[name]
    verdict = prove(case.claim, case.files, folder, depth=depth)
    print(f"{name}: {verdict}")
    assert not verdict.broken
    assert verdict.proved if depth is None else verdict.depth >= depth - 1


@pytest.mark.parametrize("name", [slow(name) if name in LONG else name for name in CASES])
def test_streams_keep_their_rules(name: str, tmp_path: Path) -> None:
    prove_case(name, tmp_path, CASES[name].depth)


@pytest.mark.parametrize("name", LONG)
def test_streams_keep_their_rules_in_their_first_cycles(name: str, tmp_path: Path) -> None:
    prove_case(name, tmp_path, SEARCHED)


@pytest.mark.parametrize("name", CASES)
def test_a_mutant_breaks_them(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    verdict = prove(case.claim, case.files, tmp_path, case.mutant, depth=case.depth)
    assert verdict.broken, f"the mutant of {name} is {verdict}"
