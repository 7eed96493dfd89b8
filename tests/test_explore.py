"""The search: which points it keeps, that it goes on after a kill, and that its points rebuild to the same figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.studies import explore, point
from spikegpt_hls.cli.studies.explore import Exploring
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BIT, LIF, WKV, Gate, LayerNorm, Linear, Residual, Sigmoid, SquaredReLU, TokenShift
from spikegpt_hls.sim.cycles.schedule import simulate
from spikegpt_hls.sim.parts import parts
from spikegpt_hls.sim.resources import area

#: The variable that names a database for tests.
DATABASE = "SPIKEGPT_HLS_TEST_DATABASE"
#: A search whose points cost nothing: four objectives of two axes, of which the second is free to choose.
FAKE = """
import sys, time
from pathlib import Path
from spikegpt_hls.cli.studies import alive, point
alive.BEAT, alive.SILENCE = 0.3, 3.0
def figures(runner, clock):
    wide, fast = runner.named["channels"], runner.named["multipliers"]
    time.sleep(float({pause}))
    return point.Figures(100 / wide, clock * fast, 0.001 * fast, 10.0 * wide, 10.0 * fast, fast, 1.0)
point.figures = figures
"""


def fake(runner: Runner, clock: float) -> point.Figures:
    scope: dict[str, Any] = {}
    exec(FAKE.format(pause=0).replace("point.figures = figures", ""), scope)
    return scope["figures"](runner, clock)  # type: ignore[no-any-return]


def arguments(build: Path, text: Path, trials: int, *more: str) -> list[str]:
    common = ["--build", str(build), "--data", str(text), "--space", "smallest", "--trials", str(trials)]
    return ["explore", *common, "--steps", "4", *more]


def started(build: Path, text: Path, trials: int, pause: float, *more: str) -> subprocess.Popen[str]:
    """The command in a process of its own, its points faked."""
    code = FAKE.format(pause=pause) + "from spikegpt_hls.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments(build, text, trials, *more)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("abcdefgh" * 700)
    return path


def results(build: Path) -> dict[str, Any]:
    return json.loads((build / "explore" / "explore.json").read_text())  # type: ignore[no-any-return]


def beaten(row: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Whether another row is as good in everything and better in something."""

    def score(entry: dict[str, Any]) -> np.ndarray:
        return np.array([entry[name] if less else -entry[name] for name, less in point.OBJECTIVES.items()])

    return any((score(other) <= score(row)).all() and (score(other) < score(row)).any() for other in rows)


def test_the_points_that_no_other_beats_are_told_with_their_commands(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(point, "figures", fake)
    assert run(arguments(tmp_path, text, 12)) == 0
    rows = results(tmp_path)["trials"]
    assert len({str(row["axes"]) for row in rows}) == len(rows) == 8  # all points of the space, each once
    assert [row["pareto"] for row in rows] == [not beaten(row, rows) for row in rows]
    said = capfd.readouterr().out
    for row in rows:
        axes = " ".join(f"{name}={row['axes'][name]}" for name in ("layers", "channels", "weight_bits"))
        assert (row["command"] in said) == row["pareto"]
        assert f"data={text} steps=4 seed=0 {axes}" in row["command"]
    page = (tmp_path / "explore" / "pareto.html").read_text()
    assert rows[0]["name"] in page
    assert "src=" not in page.split("</head>")[0]


def test_a_search_that_was_killed_goes_on_with_the_point_that_it_was_at(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(tmp_path, text, 3, 60)
    while not (tmp_path / "explore" / "study.db").exists() and process.poll() is None:
        time.sleep(0.1)
    settings = Exploring(data=str(text), space="smallest", steps=4)
    while not (before := explore.open_study(Workspace(tmp_path / "explore", "tiny"), settings).trials):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(point, "figures", fake)
    assert run(arguments(tmp_path, text, 3)) == 0
    rows = results(tmp_path)["trials"]
    assert len(rows) == 3
    assert rows[0]["axes"] == before[0].params
    assert run(arguments(tmp_path, text, 2)) == 0  # enough were tried
    assert results(tmp_path)["trials"] == rows
    assert run(arguments(tmp_path, text, 5)) == 0
    assert results(tmp_path)["trials"][:3] == rows
    assert len(results(tmp_path)["trials"]) == 5


def test_a_worker_without_its_parent_ends(tmp_path: Path, text: Path) -> None:
    """The pool's process would wait for another job for ever."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from spikegpt_hls.cli.studies import explore\nfrom spikegpt_hls.cli.workspace import Workspace\n"
        "settings = explore.Exploring(data=sys.argv[2], space='smallest', steps=4)\n"
        "explore.work(Workspace(Path(sys.argv[1]), 'tiny'), settings, 0, parent=-1)\nprint('still there')"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), str(text)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_two_processes_share_one_search(tmp_path: Path, text: Path) -> None:
    """Neither tries too much, and neither revives what the other is at."""
    together = [started(tmp_path, text, 8, 0.5) for _ in range(2)]
    said = [process.communicate() for process in together]
    assert [process.returncode for process in together] == [0, 0], said
    tried = [out.count("trial ") for out, _ in said]
    assert sum(tried) == len(results(tmp_path)["trials"]) == 8
    assert min(tried) > 0


@pytest.fixture(params=["journal", "database"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where machines keep one search; a database is one that is empty before and after."""
    if request.param == "journal":
        (tmp_path / "share").mkdir()
        return str(tmp_path / "share" / "search")
    if DATABASE not in os.environ:
        pytest.skip(f"no database server is at hand: {DATABASE}=postgresql://... names an empty database")
    return os.environ[DATABASE]


def test_a_machine_that_dies_leaves_its_trial_to_the_others(tmp_path: Path, text: Path, shared: str) -> None:
    """Each has a build folder of its own, and no two try the same point."""
    dies = started(tmp_path / "a", text, 8, 60, "--storage", shared)
    settings = Exploring(data=str(text), space="smallest", steps=4, storage=shared)
    study = explore.open_study(Workspace(tmp_path, "tiny"), settings)
    while not study.trials:
        time.sleep(0.1)
    lives = [started(tmp_path / name, text, 8, 0.3, "--storage", shared) for name in "bc"]
    while len(study.get_trials(states=[TrialState.COMPLETE])) < 7:
        time.sleep(0.1)
    time.sleep(5)  # longer than a silence may be
    assert study.trials[0].state == TrialState.RUNNING
    assert [process.poll() for process in (dies, *lives)] == [None, None, None]
    dies.send_signal(signal.SIGKILL)
    dies.wait()
    said = [process.communicate(timeout=100) for process in lives]
    assert [process.returncode for process in lives] == [0, 0], said
    rows = results(tmp_path / "b")["trials"]
    assert [row["axes"] for row in results(tmp_path / "c")["trials"]] == [row["axes"] for row in rows]
    assert len({str(row["axes"]) for row in rows}) == len(rows) == 8
    assert sum(out.count("trial ") for out, _ in said) == 8


def test_what_stops_a_worker_is_told_once(tmp_path: Path, text: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(tmp_path, text, 2, "--workers", "2", "--steps", "1")) == 2
    assert capfd.readouterr().err.count("error: training takes 1 step or more") == 1


@pytest.fixture
def fails(tmp_path: Path, text: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def command(*more: str) -> str:
        capfd.readouterr()
        assert run(arguments(tmp_path, text, 1, *more)) == 2
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]

    return command


def test_other_searches_spaces_and_storages_are_refused(
    tmp_path: Path, text: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point, "figures", fake)
    assert "unknown space 'huge': choose one of smallest, tiny, small" in fails("--space", "huge")
    assert "trials" in fails("--trials", "0")
    assert run(arguments(tmp_path, text, 1)) == 0
    whole = (tmp_path / "explore" / "explore.json").read_bytes()
    assert "holds a search with other space, axes" in fails("--space", "tiny")
    assert "holds a search with other seed" in fails("--seed", "1")
    monkeypatch.setattr(explore, "VERSION", 99)
    assert "holds a search with other version" in fails()
    assert (tmp_path / "explore" / "explore.json").read_bytes() == whole
    (tmp_path / "explore" / "study.db").write_bytes(b"no database" * 100)
    assert "is not of this version of Optuna" in fails()


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        (
            "sqlite:///study.db",
            "storage= may be a database of postgresql, mysql, mariadb, or a file, not one of sqlite",
        ),
        ("://", "storage= is no URL"),
        ("nowhere/search", "there is no folder for storage=nowhere/search"),
        ("mysql://me:secret@server/search", "storage= needs a Python package for its database (No module named"),
    ],
)
def test_a_storage_that_cannot_be_is_one_sentence(fails: Callable[..., str], storage: str, says: str) -> None:
    said = fails("--storage", storage)
    assert says in said
    assert "secret" not in said


def test_a_shared_search_is_of_one_text(
    tmp_path: Path, text: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point, "figures", fake)
    shared = ("--storage", str(tmp_path / "search"))
    assert run(arguments(tmp_path, text, 1, *shared)) == 0
    text.write_text("hgfedcba" * 700)
    assert "search holds a search with other text: name another storage=" in fails(*shared)
    for other in (b"no journal" * 100, b"no\njournal\n", b"\xff\n"):
        (tmp_path / "search").write_bytes(other)
        assert "search is a file of something else: name another storage=" in fails(*shared)
        assert (tmp_path / "search").read_bytes() == other


def test_a_point_rebuilds_to_the_same_figures(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, translated and folded in another folder, by the options of its command."""
    total = {"lut": 634.0, "dsp": 24.0, "bram36": 13.5}
    monkeypatch.setattr(area, "estimate", lambda dataflow, folder: {"total": total})
    assert run(arguments(tmp_path, text, 1)) == 0
    (row,) = results(tmp_path)["trials"]
    assert row["area"] == pytest.approx((0.01 + 0.1 + 0.1) / 3)  # of 63,400 LUT, 240 DSP, 135 BRAM36
    _, command, *options = row["command"].split()
    named = dict(option.split("=", 1) for option in options)
    assert (command, named.pop("target"), named.pop("preset")) == ("report", "xilinx", "tiny")
    build = Path(named.pop("build"))
    flags = [word for name, value in named.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert run(["hls", "--build", str(build), *flags]) == 0
    rebuilt = Workspace(build / "tiny", "tiny")
    again = point.figures(Runner(rebuilt, {}), 100.0)
    assert {name: row[name] for name in vars(again)} == vars(again)
    dataflow = Dataflow.from_json(json.loads((rebuilt.rtl / "dataflow.json").read_text()))
    with np.load(rebuilt.vectors) as arrays:
        tokens = len(arrays["tokens"])
    assert row["tokens_per_s"] == 100e6 / simulate(dataflow, tokens).cycles_per_token  # the page's steady state


S8, U8 = Format(8, 5), Format(8, 6, signed=False)


@pytest.mark.parametrize(
    "op",
    [
        LIF.of(8, S8), WKV(Format(10, 7), 8, S8, S8), Gate(S8, 8, Format(8, 8, signed=False), Format(10, 7)),
        LayerNorm(S8, 8, Format(11, 5), S8, Format(16, 10)), Linear(S8, 8, 8, S8, Format(4, 3)),
        Residual(Format(11, 5), 8, Format(11, 5)), Residual(Format(11, 5), 8, S8, S8),
        Sigmoid(Format(8, 8, signed=False), 8, S8),
        SquaredReLU(U8, 8, U8), TokenShift(S8, 8, S8, Format(10, 8)),
    ],
    ids=lambda op: type(op).__name__,
)  # fmt: skip
def test_a_nominal_block_is_that_of_every_binary_point_and_of_no_other_width(op: Any) -> None:
    def moved(fmt: Format, bits: int = 0) -> Format:
        fixed = fmt in (BIT, Format(10, 8), Format(16, 10), Format(8, 8, signed=False))
        return fmt if fixed else replace(fmt, frac=fmt.frac - 1, bits=fmt.bits + bits)

    def other(bits: int) -> Any:
        if isinstance(op, LIF):
            return LIF.of(8, moved(op.x, bits))
        formats = {name: moved(value, bits) for name, value in vars(op).items() if isinstance(value, Format)}
        return replace(op, **formats)

    assert area.nominal(single(other(0), 2, {})) == area.nominal(single(op, 2, {}))
    assert area.nominal(single(other(-1), 2, {})) != area.nominal(single(op, 2, {}))


def test_the_area_is_the_mean_share_of_a_part() -> None:
    part = replace(parts("xc7")[0], lut=1000, dsp=10, bram36=20)
    assert area.share({"lut": 100, "dsp": 5, "bram36": 3, "ff": 7}, part) == pytest.approx((0.1 + 0.5 + 0.15) / 3)
