"""The fork in RTL: every reader gets every beat, whoever stalls, in the cycles that the cycle simulator says."""

import pytest

from spikegpt_hls.hls.rtl.blocks import MODULES, sources
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.cells.stream_fork import SHAPES, replay, run


@pytest.mark.parametrize(("width", "outputs", "contexts"), SHAPES)
def test_copies_in_the_cycles_of_the_model(width: int, outputs: int, contexts: int) -> None:
    run(BUILD.resolve() / f"{MODULES['Fork']}_{width}_{outputs}_{contexts}", width, outputs, contexts)


def test_a_cell_with_more_room_than_it_says_is_noticed() -> None:
    """The negative control: a fork whose FIFOs are deeper than the contract's two places."""
    text = next(path for path in sources("Fork") if path.stem == MODULES["Fork"]).read_text()
    folder = BUILD.resolve() / "stream_fork_too_deep"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stream_fork.sv").write_text(text.replace(".DEPTH(2)", ".DEPTH(3)"))
    files = [folder / "stream_fork.sv", *(path for path in sources("Fork") if path.stem != MODULES["Fork"])]
    simulator.build(files, MODULES["Fork"], folder, {"WIDTH": 8, "OUTPUTS": 2})
    with pytest.raises(AssertionError, match=r"beat \d+ of stream 0 moved"):
        replay(folder)
