"""The list of one-line faults (``make faults``) fits the tree: each says a line that is there, and a test that is."""

import ast
from pathlib import Path

import pytest

from copied_tree import ROOT
from faults import FILES, Fault, copy, faults, judge_in

LISTED = faults()


def test_there_are_faults_of_every_language() -> None:
    assert len(LISTED) >= 40
    assert len({(fault.file, fault.line, fault.fault) for fault in LISTED}) == len(LISTED)
    for suffixes in FILES:
        assert sum(Path(fault.file).suffix in suffixes for fault in LISTED) >= 5, suffixes


@pytest.mark.parametrize("fault", LISTED, ids=lambda fault: f"{Path(fault.file).name}-{fault.fault[:40]}")
def test_a_fault_applies_and_its_test_exists(fault: Fault) -> None:
    assert fault.apply(ROOT) != (ROOT / fault.file).read_text()
    path, _, node = fault.test.partition("::")
    defined = {item.name for item in ast.parse((ROOT / path).read_text()).body if isinstance(item, ast.FunctionDef)}
    assert not node or node.partition("[")[0] in defined


def test_a_fault_is_caught_survives_or_no_longer_applies(tmp_path: Path) -> None:
    """In a copy of the tree, which is as it was behind each of them."""
    shift = "tests/test_quant_meaning.py::test_shifts_round_to_even_and_up[3]"
    caught = Fault("quant/format.py", "rounded: Ints = ((n + below_half + odd)", "rounded: Ints = ((n + odd)", shift)
    survived = Fault("quant/format.py", '"""The nearest integer', '"""A nearest integer', shift)
    gone = Fault("quant/format.py", "no such line", "", shift)
    with copy() as tree:
        verdicts = [judge_in(tree, fault)[0] for fault in (caught, survived, gone)]
        assert (tree / "quant/format.py").read_bytes() == (ROOT / "quant/format.py").read_bytes()
    assert verdicts == ["caught", "survived", "error"]
