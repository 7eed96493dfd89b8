"""Bad input: one sentence, exit code 2, no traceback, and earlier results untouched."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikegpt_hls.cli.main import run


@pytest.fixture
def built(trained: Path, tmp_path: Path) -> Path:
    """A build folder of one's own, with a trained and exported ``tiny``."""
    shutil.copytree(trained.parent, tmp_path / "own", ignore=shutil.ignore_patterns("lock", ".lock"))
    return tmp_path / "own"


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with a ``tiny`` that was trained on a text of seven characters."""
    folder = tmp_path_factory.mktemp("seven")
    (folder / "text").write_text("abcdefg" * 150)
    command = ["train-qat", "--build", str(folder), "--data", str(folder / "text"), "--tokenizer", "characters"]
    assert run([*command, "--steps", "4"]) == 0
    return folder


@pytest.fixture
def characters(seven: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seven, tmp_path / "characters"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}


def files(folder: Path) -> list[Path]:
    """All results; a lock is none."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_missing_text(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "no-such-file" in fails("train-qat", "--data", str(tmp_path / "no-such-file"))


def test_empty_and_short_text(fails: Callable[..., str], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"")
    assert "is empty" in fails("train-qat", "--data", str(text))
    text.write_bytes(b"short")
    assert "5 bytes" in fails("train-qat", "--data", str(text))


def test_a_text_that_is_no_utf8_names_the_byte(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9 " * 200)
    message = fails("train-qat", "--data", str(tmp_path / "latin"), "--tokenizer", "characters")
    assert "not UTF-8 at byte 3" in message


def test_corrupt_and_unknown_tokenizers(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "'words': choose bytes, characters" in fails("train-qat", "--tokenizer", "words")
    (tmp_path / "t.json").write_text('{"model": ')
    assert "t.json is no JSON" in fails("train-qat", "--tokenizer", str(tmp_path / "t.json"))


def test_training_settings_without_meaning(fails: Callable[..., str]) -> None:
    assert "'int4'" in fails("train-qat", "--precision", "int4")
    assert "accumulate" in fails("train-qat", "--accumulate", "0")
    assert "not 1" in fails("train-qat", "--steps", "1")
    assert "'integrate'" in fails("train-qat", "--neurons", "integrate")


def test_other_neurons_are_another_network(characters: Path) -> None:
    """Trained anew, remembered by later commands, and drawn without spikes."""
    metrics = characters / "tiny" / "metrics.json"
    assert run(["train-qat", "--build", str(characters), "--neurons", "none", "--steps", "4"]) == 0
    written = metrics.stat().st_mtime_ns
    assert json.loads(metrics.read_text())["neurons"] == "none"
    assert run(["figures", "--build", str(characters), "--sizes", "tiny"]) == 0
    assert run(["generate", "--build", str(characters), "--prompt", "ab", "--tokens", "4"]) == 0
    assert metrics.stat().st_mtime_ns == written
    assert sorted(path.stem for path in (characters / "tiny" / "figures").iterdir()) == [
        "activations",
        "events",
        "loss",
        "weights",
    ]
    assert run(["train-qat", "--build", str(characters), "--neurons", "lif"]) == 0
    assert metrics.stat().st_mtime_ns != written


def test_a_network_from_before_there_was_a_choice_is_not_trained_again(characters: Path) -> None:
    stamp, metrics = characters / "tiny" / "stamps" / "train-qat.json", characters / "tiny" / "metrics.json"
    recorded = json.loads(stamp.read_text())
    del recorded["settings"]["neurons"]
    stamp.write_text(json.dumps(recorded))
    written = metrics.stat().st_mtime_ns
    assert run(["train-qat", "--build", str(characters)]) == 0
    assert metrics.stat().st_mtime_ns == written


def test_two_processes_train_one_network(characters: Path, fails: Callable[..., str]) -> None:
    assert "no-such-file" in fails("train-qat", "--processes", "2", "--data", str(characters / "no-such-file"))
    metrics = characters / "tiny" / "metrics.json"
    alone = json.loads(metrics.read_text())
    assert run(["train-qat", "--build", str(characters), "--processes", "2", "--steps", "5"]) == 0
    together = json.loads(metrics.read_text())
    assert (together["steps"], together["tokens_per_step"]) == (5, 2 * alone["tokens_per_step"])


def test_bad_texts_are_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from spikegpt_hls.cli.main import run; sys.exit(run(sys.argv[1:]) != 2 or 'torch' in sys.modules)"
    )
    (tmp_path / "latin").write_bytes(b"caf\xe9 " * 200)
    latin = ["--data", str(tmp_path / "latin"), "--tokenizer", "characters"]
    for options in (["--data", str(tmp_path / "none")], ["--tokenizer", "none"], latin):
        command = [sys.executable, "-c", code, "train-qat", "--build", str(tmp_path), *options]
        subprocess.run(command, check=True, capture_output=True)


def test_a_prompt_of_unknown_characters(fails: Callable[..., str], characters: Path) -> None:
    assert "'!' is none of the 7 characters" in fails("generate", "--prompt", "abc!", build=characters)


def test_generation_streams_characters_and_stops(characters: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["generate", "--build", str(characters), "--prompt", "ab", "--tokens", "80", "--temperature", "0"]
    assert run(options) == 0
    whole = capfd.readouterr().out.strip()
    assert whole.startswith("ab")
    assert len(whole) == 82
    stop = whole[20:24]
    assert run([*options, "--stop", stop]) == 0
    assert capfd.readouterr().out.strip() == "ab" + whole[2 : 2 + whole[2:].index(stop)]


def test_a_network_keeps_its_tokenizer(fails: Callable[..., str], characters: Path) -> None:
    assert run(["hls", "--build", str(characters), "--tokens", "30"]) == 0  # 7 characters take 1 lane
    with np.load(characters / "tiny" / "vectors.npz") as vectors:
        assert vectors["tokens"].max() < 7
    tokenizer = characters / "tiny" / "tokenizer.json"
    before = tokenizer.read_bytes()
    tokenizer.write_text('{"characters": "abcdxyz"}')
    assert run(["generate", "--build", str(characters), "--prompt", "ab", "--tokens", "2"]) == 0
    assert tokenizer.read_bytes() == before


def test_a_text_that_changed_is_trained_on_anew(characters: Path) -> None:
    stamp = characters / "tiny" / "stamps" / "train-qat.json"
    command = ["train-qat", "--build", str(characters), "--data", str(characters / "text"), "--steps", "4"]
    assert run(command) == 0
    before = stamp.stat().st_mtime_ns
    assert run(command) == 0
    assert stamp.stat().st_mtime_ns == before
    (characters / "text").write_text("abcdefgh" * 150)
    assert run(command) == 0
    assert stamp.stat().st_mtime_ns != before


@pytest.mark.parametrize("option", ["preset", "target"])
def test_unknown_preset_and_target(fails: Callable[..., str], option: str) -> None:
    assert "nonesuch" in fails("cosim", f"--{option}", "nonesuch")


def test_unknown_weight_bits(fails: Callable[..., str]) -> None:
    assert "not 5" in fails("train-qat", "--weight-bits", "5")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--lanes", "3"), "3 lanes"),
        (("--lanes", "0"), "0 lanes"),
        (("--reuse", "7"), "7"),
        (("--reuse", "0"), "0"),
        (("--contexts", "0"), "0 contexts are not possible: 1 to 256"),
        (("--contexts", "257"), "257 contexts are not possible: 1 to 256"),
        (("--contexts", "two"), "'two' is not a valid integer"),
    ],
)
def test_folding_that_does_not_divide(
    fails: Callable[..., str], built: Path, options: tuple[str, str], named: str
) -> None:
    before = contents(built)
    assert named in fails("hls", *options, build=built)
    assert contents(built) == before


def test_truncated_checkpoint(fails: Callable[..., str], built: Path) -> None:
    checkpoint = built / "tiny" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    before = contents(built)
    assert "checkpoint.safetensors" in fails("export", build=built)
    assert contents(built) == before


def test_checkpoint_of_another_shape(fails: Callable[..., str], built: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    checkpoint = built / "tiny" / "checkpoint.safetensors"
    with safe_open(checkpoint, "np") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["head.weight"] = np.zeros((3, 64), np.float32)
    save_file(tensors, checkpoint, header)
    assert "head.weight" in fails("export", build=built)


def test_a_hostile_pickle_is_not_run(fails: Callable[..., str], built: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "pwned"),)

    (built / "tiny" / "checkpoint.safetensors").write_bytes(pickle.dumps(Hostile()))
    fails("export", build=built)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("tool", ["g++", "make"])
def test_missing_tool(
    fails: Callable[..., str], built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: str
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in {"g++", "make"} - {tool}:
        (tools / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tools))
    assert fails("cosim", build=built).startswith(f"error: {tool} is needed")


def test_a_full_disk_leaves_earlier_results(
    fails: Callable[..., str], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["hls", "--build", str(built)]) == 0
    before = contents(built)
    written = Path.write_text

    def full(path: Path, *arguments: object, **options: object) -> int:
        if path.suffix == ".hex":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return written(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    assert "disk is full" in fails("hls", "--lanes", "1", build=built)
    monkeypatch.undo()
    assert contents(built) == before


def test_a_build_folder_that_cannot_be_written(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "file" in fails("train-qat", "--steps", "2", build=tmp_path / "file")


def test_hardware_of_another_version_is_made_again(built: Path) -> None:
    assert run(["hls", "--build", str(built)]) == 0
    path = built / "tiny" / "hls" / "verilog" / "rtl" / "dataflow.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "version": 0}))
    assert run(["hls", "--build", str(built)]) == 0
    assert path.read_text() == before


def test_nothing_is_done_again_that_is_up_to_date(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["hls", "--build", str(built)]) == 0
    before = {path: path.stat().st_mtime_ns for path in files(built)}
    assert run(["hls", "--build", str(built)]) == 0
    assert {path: path.stat().st_mtime_ns for path in files(built)} == before


def test_a_named_setting_is_kept_until_it_is_named_again(built: Path) -> None:
    assert run(["hls", "--build", str(built), "--lanes", "4"]) == 0
    top = built / "tiny" / "hls" / "verilog" / "rtl" / "spikegpt.sv"
    assert ".LANES(4)" in top.read_text()
    assert run(["hls", "--build", str(built)]) == 0
    assert ".LANES(4)" in top.read_text()
