"""What is counted of a bench's runs: the beats that moved, and the stalls that there were."""

from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import SquaredReLU
from spikegpt_hls.rtl_tests.bench import check
from spikegpt_hls.rtl_tests.cells import functional

TOKENS = np.array([[-128, -1, 0, 127], [1, 2, 3, 4], [0, 0, 0, 16]])


def test_situations_are_counted_and_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = single(SquaredReLU(Format(8, 4), 4, Format(8, 4)), 2, {})
    files = []
    for test in ("flowing", "blocked"):
        files.append(tmp_path / f"{test}.yml")
        monkeypatch.setenv(functional.FILE, str(files[-1]))
        check(block, [TOKENS], [2, 1], test=test)
    flowing, both = (functional.merged(some, tmp_path / "all.yml") for some in (files[:1], files))
    assert flowing["squared_relu.x.signed"] == {"lowest": 1, "negative": 1, "zero": 4, "positive": 5, "highest": 1}
    assert flowing["squared_relu.x.beat"] == {"only": 0, "first": 3, "middle": 0, "last": 3}
    assert flowing["squared_relu.y.token"] == {"the first of a sequence": 2, "a later one": 1}
    assert flowing["squared_relu.y.state"]["moves"] == 6
    assert flowing["squared_relu.y.state"]["waits"] == 0
    assert both["squared_relu.y.state"]["moves"] == 12
    assert both["squared_relu.y.state"]["waits"] > 0
    assert both["squared_relu.y.signed"]["highest"] == 2 * flowing["squared_relu.y.signed"]["highest"] > 0
