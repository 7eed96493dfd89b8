"""Nothing of the user's is lost: their checkpoint, an unfinished training, results beside a damaged file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spikegpt_hls.cli.main import run

#: What may be damaged, and a command that reads it.
FILES = {
    "metrics.json": "export",
    "tokenizer.json": "export",
    "model.onnx": "export",
    "model_step.onnx": "export",
    "vectors.npz": "export",
    "stamps/train-qat.json": "export",
    "stamps/export.json": "export",
    "hls/verilog/rtl/dataflow.json": "hls",
    "hls/verilog/rtl/spikegpt.sv": "hls",
    "hls/verilog/rtl/lif.sv": "hls",
    "stamps/hls-verilog.json": "hls",
    "report.json": "report",
    "report/index.html": "report",
    "stamps/report-verilog.json": "report",
    "cosim.json": "report",
}
RESULTS = [name for name in FILES if not name.startswith("stamps/")]
SETTINGS = ["--layers", "1", "--channels", "16", "--steps", "6", "--tokens", "18", "--sequences", "2"]


def files(folder: Path) -> dict[str, bytes]:
    """All results; a lock and what is kept of Yosys are none."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file() and f.name != ".lock"}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "abc.txt"
    path.write_text("the cat sat on the mat; " * 120)
    return path


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    """A build folder with the smallest model, co-simulated and reported."""
    build = tmp_path_factory.mktemp("verified")
    assert run(["cosim", "--build", str(build), "--data", str(text), "--tokenizer", "characters", *SETTINGS]) == 0
    return build


@pytest.fixture
def own(verified: Path, tmp_path: Path) -> Path:
    """A copy of it to break; its simulation is in the copy too."""
    return Path(shutil.copytree(verified, tmp_path / "own"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    """Another one, not simulated."""
    build = tmp_path_factory.mktemp("other")
    command = ["hls", "--build", str(build), "--data", str(text), "--tokenizer", "characters", *SETTINGS, "--seed", "5"]
    assert run(command) == 0
    return build


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def flipped(content: bytes) -> bytes:
    """One bit of the last byte but one."""
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {"half": half, "emptied": emptied, "flipped": flipped}


@pytest.mark.parametrize("how", [*DAMAGE, "exchanged"])
def test_damaged_files_are_made_again(own: Path, other: Path, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Each file in turn: the same result in the end, and the checkpoint as it was."""
    folder = own / "tiny"
    before = files(folder)
    for name, command in FILES.items():
        path = folder / name
        if how == "exchanged":
            stranger = other / "tiny" / name
            path.write_bytes(stranger.read_bytes() if stranger.exists() else b'{"another": "result"}')
        else:
            path.write_bytes(DAMAGE[how](before[name]))
        # a damaged record has forgotten what was asked for
        again = SETTINGS[6:] if name == "stamps/export.json" else []
        code = run([command, "--build", str(own), *again])
        errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert (code, errors) == (0, []), (name, how)
        assert (folder / "checkpoint.safetensors").read_bytes() == before["checkpoint.safetensors"]
        if name in RESULTS:
            assert path.read_bytes() == before[name], (name, how)
    assert run(["report", "--build", str(own)]) == 0
    got = files(folder)
    assert {name: got[name] == before[name] for name in RESULTS} == dict.fromkeys(RESULTS, True)


@pytest.fixture
def fails(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def command(*arguments: str) -> str:
        capfd.readouterr()
        assert run([*arguments]) == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        return line

    return command


@pytest.mark.parametrize("name", ["metrics.json", "tokenizer.json"])
@pytest.mark.parametrize("how", ["broken", "another value"])
def test_what_belongs_to_a_checkpoint_is_made_again_without_training(own: Path, name: str, how: str) -> None:
    folder = own / "tiny"
    checkpoint, before = folder / "checkpoint.safetensors", (folder / name).read_bytes()
    written = checkpoint.stat().st_mtime_ns
    another = json.dumps({**json.loads(before), "steps": 7, "characters": "abc"}).encode()
    (folder / name).write_bytes(b"{" if how == "broken" else another)
    assert run(["train-qat", "--build", str(own)]) == 0
    assert (folder / name).read_bytes() == before
    assert checkpoint.stat().st_mtime_ns == written


@pytest.mark.parametrize("how", [half, emptied])
def test_a_damaged_checkpoint_is_one_sentence_and_stays(
    own: Path, how: Callable[[bytes], bytes], fails: Callable[..., str]
) -> None:
    path = own / "tiny" / "checkpoint.safetensors"
    path.write_bytes(how(path.read_bytes()))
    before = path.read_bytes()
    for command in ("export", "hls", "cosim", "report", "generate"):
        assert "checkpoint.safetensors" in fails(command, "--build", str(own))
        assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["empty", "over one that was trained", "without its record", "with a damaged record"])
def test_a_checkpoint_of_the_user_s_is_used_and_not_trained_over(
    own: Path, other: Path, tmp_path: Path, where: str, capfd: pytest.CaptureFixture[str], text: Path
) -> None:
    build = tmp_path / "mine" if where == "empty" else own
    folder = build / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    mine = (other / "tiny" / "checkpoint.safetensors").read_bytes()
    (folder / "checkpoint.safetensors").write_bytes(mine)
    (folder / "spikegpt.pth").write_bytes(b"weights of another program")
    stamp = folder / "stamps" / "train-qat.json"
    if where == "without its record":
        stamp.unlink()
    elif where == "with a damaged record":
        stamp.write_bytes(half(stamp.read_bytes()))
    capfd.readouterr()
    assert run(["export", "--build", str(build), "--tokens", "18", "--sequences", "2"]) == 0
    said = capfd.readouterr().out
    assert "is used as it is" in said
    assert "spikegpt.pth is not read" in said
    assert (folder / "checkpoint.safetensors").read_bytes() == mine
    assert (folder / "model.onnx").read_bytes() == (other / "tiny" / "model.onnx").read_bytes()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == json.loads((other / "tiny" / "metrics.json").read_text())
    command = ["train-qat", "--build", str(build), "--data", str(text), "--tokenizer", "characters", *SETTINGS[:6]]
    assert run(command) == 0
    assert "kept as checkpoint." in capfd.readouterr().out
    assert (folder / "checkpoint.safetensors").read_bytes() != mine
    (kept,) = folder.glob("checkpoint.?*.safetensors")
    assert kept.read_bytes() == mine


def test_a_checkpoint_that_save_network_wrote_is_measured(
    other: Path, tmp_path: Path, text: Path, fails: Callable[..., str]
) -> None:
    """Its geometry and formats come from the file, its text and tokenizer from their names."""
    from spikegpt_hls.quant.storage import load_network, save_network

    network, _ = load_network(other / "tiny" / "checkpoint.safetensors")
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_network(network, folder / "checkpoint.safetensors", {})
    before = (folder / "checkpoint.safetensors").read_bytes()
    assert "vocabulary of" in fails("export", "--build", str(tmp_path), "--data", str(text))
    named = ["--data", str(text), "--tokenizer", "characters"]
    assert "so steps= means nothing" in fails("export", "--build", str(tmp_path), *named, "--steps", "4")
    assert run(["export", "--build", str(tmp_path), *named, "--tokens", "18", "--sequences", "2"]) == 0
    assert (folder / "checkpoint.safetensors").read_bytes() == before
    metrics = json.loads((folder / "metrics.json").read_text())
    want = json.loads((other / "tiny" / "metrics.json").read_text())
    for name in ("val_nats_integer", "val_nats_float", "layers", "channels", "vocabulary", "text_sha256"):
        assert metrics[name] == want[name]


LONG = ["--layers", "1", "--channels", "16", "--steps", "4000"]


@pytest.fixture
def interrupted(own: Path, text: Path) -> Path:
    """A training of another network in the same folder, killed after its first resume file."""
    command = [sys.executable, "-m", "spikegpt_hls.cli.main", "train-qat", "--build", str(own), *LONG]
    command += ["--data", str(text), "--tokenizer", "characters", "--seed", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list(own.glob("tiny/training/*/float.safetensors")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert "float: 3000 steps" in said  # a killed run's log says what it was at
    return own


def first_line(build: Path, *options: str) -> str:
    """What a training says first, in a process that is killed then."""
    command = [sys.executable, "-m", "spikegpt_hls.cli.main", "train-qat", "--build", str(build), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("float"))
    process.kill()
    process.communicate()
    return line


def test_an_interrupted_training_is_the_last_run(
    interrupted: Path, text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = interrupted / "tiny"
    (unfinished,) = folder.glob("training/*/float.safetensors")
    checkpoint = (folder / "checkpoint.safetensors").read_bytes()
    capfd.readouterr()
    assert run(["export", "--build", str(interrupted)]) == 0  # the network that is there
    assert "train-qat was interrupted or failed (steps is 4000, was 6" in capfd.readouterr().out
    assert (folder / "checkpoint.safetensors").read_bytes() == checkpoint
    command = ["train-qat", "--build", str(interrupted), "--steps", "5", "--seed", "1"]  # something else in between
    assert run(command) == 0
    assert "a run was not finished (steps is 5, was 4000, seed is 1, was 3)" in capfd.readouterr().out
    assert unfinished.exists()
    first = first_line(interrupted, *LONG, "--seed", "3")
    assert first.startswith("float from step ")


def test_an_interrupted_training_goes_on_where_nothing_is_named(
    interrupted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = first_line(interrupted)
    assert first.startswith("float from step ")
    assert ": 3000 steps" in first


def test_an_unfinished_training_of_the_version_before_goes_on(interrupted: Path) -> None:
    """There it lay a folder higher, whatever it was of; a training of something else leaves it there."""
    (unfinished,) = interrupted.glob("tiny/training/*/float.safetensors")
    old = unfinished.rename(interrupted / "tiny" / "training" / unfinished.name)
    assert run(["train-qat", "--build", str(interrupted), "--steps", "5", "--seed", "1"]) == 0
    assert old.exists()
    assert first_line(interrupted, *LONG, "--seed", "3").startswith("float from step ")


def test_a_second_process_waits_and_says_who_is_at_work(own: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom spikegpt_hls.cli.graph.lock import locked\n"
        "with locked([Path(sys.argv[1])], print):\n    print('has it', flush=True)\n    time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(own / "tiny")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "has it\n"
    command = [sys.executable, "-m", "spikegpt_hls.cli.main", "export", "--build", str(own)]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert second.stdout is not None
    assert second.stdout.readline().startswith(f"waiting: process {holder.pid} (")
    assert second.poll() is None
    os.kill(holder.pid, signal.SIGKILL)  # a dead process holds nothing
    assert second.wait(timeout=120) == 0
    holder.wait()


def test_a_record_of_a_later_version_is_one_sentence(own: Path, fails: Callable[..., str]) -> None:
    stamp = own / "tiny" / "stamps" / "export.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "version": 99}))
    assert "is of version 99, and only 1 is known" in fails("cosim", "--build", str(own))


def test_a_folder_of_the_version_before_still_works(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its records have no digests of outputs, its checkpoint and metrics say nothing of each other."""
    from spikegpt_hls.model import checkpoint

    folder = own / "tiny"
    tensors, header = checkpoint.load(folder / "checkpoint.safetensors")
    del header["metrics"], header["tokenizer"]
    checkpoint.save(folder / "checkpoint.safetensors", tensors, header)
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["checkpoint_sha256"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    for stamp in (folder / "stamps").glob("*.json"):
        found = json.loads(stamp.read_text())
        old = {"settings": {**found["settings"], **found["outside"]}, "inputs": found["inputs"]}
        stamp.write_text(json.dumps(old))
    before = (folder / "checkpoint.safetensors").read_bytes()
    assert run(["cosim", "--build", str(own)]) == 0
    assert "is used as it is" not in capfd.readouterr().out
    assert run(["train-qat", "--build", str(own)]) == 0
    assert (folder / "checkpoint.safetensors").read_bytes() == before
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_status_runs_nothing_and_says_why(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = own / "tiny"
    (folder / "model.onnx").write_bytes(b"")
    before = files(folder)
    capfd.readouterr()
    assert run(["status", "--build", str(own), "--lanes", "1"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert files(folder) == before
    for word in ("train-qat", "up to date", "model.onnx", "after export"):
        assert word in said
