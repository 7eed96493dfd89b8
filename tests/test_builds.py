"""The cache of builds: whole or not there, of this user, as it was made, and bounded."""

import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from spikegpt_hls.host import builds, needs
from spikegpt_hls.host.errors import HostError
from spikegpt_hls.host.library import library
from spikegpt_hls.host.plain import PLAIN, plain_folder

KEY = builds.digest("a", b"key")
SOURCE = 'extern "C" int answer() { return VALUE; }\n'
#: A build of a second, of many files: there is much time to kill it in.
SLOW = """
import sys, time
from spikegpt_hls.host import builds

def make(folder):
    for number in range(50):
        (folder / str(number)).write_text(str(number) * 1000)
        time.sleep(0.02)

print("ready", flush=True)
builds.kept(sys.argv[1], make)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(builds.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path, text: str = "made") -> None:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_text(text)


def never(folder: Path) -> None:
    raise AssertionError("made a second time")


def test_what_was_made_is_kept() -> None:
    place = builds.kept(KEY, fill)
    assert (place / "below" / "file").read_text() == "made"
    assert builds.kept(KEY, never) == place
    assert builds.remembered("b" * 64, lambda: [1, "two"]) == builds.remembered("b" * 64, lambda: None) == [1, "two"]


def test_parts_of_a_digest_do_not_run_into_each_other() -> None:
    assert (
        len({builds.digest("ab", "c"), builds.digest("a", "bc"), builds.digest("abc"), builds.digest("abc", "")}) == 4
    )


def test_a_build_that_fails_leaves_nothing(root: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("made")
        raise OSError("No space left")

    with pytest.raises(OSError, match="No space"):
        builds.kept(KEY, fails)
    assert not list(root.iterdir())
    assert (builds.kept(KEY, fill) / "below" / "file").exists()


def test_a_build_that_is_killed_at_any_moment_works_at_the_next_try(root: Path) -> None:
    rng = random.Random(1)
    for _ in range(10):
        child = subprocess.Popen([sys.executable, "-c", SLOW, KEY], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(rng.uniform(0, 1.1))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert not (root / KEY).exists() or len(list((root / KEY).iterdir())) == 51
    assert (builds.kept(KEY, fill) / builds.MANIFEST).exists()
    assert [path.name for path in root.iterdir()] == [KEY]


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "manifest", "list", "writable", "folder"])
def test_what_is_not_as_it_was_made_is_made_again(damage: str) -> None:
    file = builds.kept(KEY, fill) / "below" / "file"
    manifest = file.parents[1] / builds.MANIFEST
    match damage:
        case "byte":
            file.write_text("mode")
        case "cut":
            file.write_text("")
        case "gone":
            file.unlink()
        case "manifest":
            manifest.write_text("{")
        case "list":
            manifest.write_text("[]")
        case "writable":
            file.chmod(0o666)
        case "folder":
            file.parents[1].chmod(0o777)
    builds.kept(KEY, lambda folder: fill(folder, "made again"))
    assert file.read_text() == "made again"
    assert not file.stat().st_mode & 0o022


def test_a_cache_that_others_can_write_is_not_used(root: Path) -> None:
    builds.kept(KEY, fill)
    root.chmod(0o770)
    with pytest.raises(HostError, match="others can write it; SPIKEGPT_HLS_CACHE names another"):
        builds.kept(KEY, fill)


def test_a_cache_that_cannot_be_made_is_one_sentence(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(HostError, match=r"cannot be made \(File exists\)"):
        builds.kept(KEY, fill)


def test_processes_wait_for_the_first(root: Path) -> None:
    """Each would leave its number; all find the first one's."""
    with get_context("fork").Pool(4) as pool:
        found = pool.map(_kept_by, range(8))
    assert len(set(found)) == 1
    assert [path.name for path in root.iterdir()] == [KEY]


def _kept_by(number: int) -> str:
    def make(folder: Path) -> None:
        time.sleep(0.05)
        (folder / "by").write_text(str(number))

    return (builds.kept(KEY, make) / "by").read_text()


def test_what_was_not_used_for_longest_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "LIMIT", 3500)
    for age, name in ((5000, "oldest"), (4000, "older"), (3000, "newer"), (0, "now")):
        place = builds.kept(name, lambda folder: (folder / "file").write_bytes(bytes(1000)))
        if age:
            os.utime(place, (time.time() - age,) * 2)
        if name == "older":  # used again, the oldest is no longer that
            builds.kept("oldest", never)
    left = root / "killed.1234.partial"
    left.mkdir()
    os.utime(left, (time.time() - 5000,) * 2)
    builds.kept("last", lambda folder: (folder / "file").write_bytes(bytes(1000)))
    assert {path.name for path in root.iterdir()} == {"oldest", "now", "last"}


def test_a_library_whose_file_was_changed_is_compiled_again(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "a source.cpp"
    source.write_text(SOURCE)
    assert library([source], ["-DVALUE=41"]).answer() == 41
    (place,) = root.iterdir()
    wrong = bytearray((place / "library.so").read_bytes())
    wrong[len(wrong) // 2] ^= 1
    (place / "library.so").unlink()  # not in place: this process has it mapped
    (place / "library.so").write_bytes(wrong)
    assert library([source], ["-DVALUE=41"]).answer() == 41
    assert (place / "library.so").read_bytes() != wrong
    assert library([source], ["-DVALUE=42"]).answer() == 42
    with pytest.raises(HostError, match=r"g\+\+ stopped: .*error: .*VALUE"):
        library([source], [])


def test_builds_run_in_paths_of_plain_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with plain_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
    place = tmp_path / "a folder é"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with plain_folder(place) as folder:
        assert PLAIN.fullmatch(str(folder))
    assert not folder.exists()


@pytest.mark.parametrize("name", needs.PROGRAMS)
def test_a_missing_program_is_one_sentence(name: str, tmp_path: Path) -> None:
    for other in set(needs.PROGRAMS) - {name}:
        (tmp_path / other).touch(0o755)
    done = subprocess.run(
        [sys.executable, "-I", needs.__file__], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {name} is needed, and is not on the PATH (Debian: apt install {name})\n"


def test_a_python_without_a_shared_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs.missing_library() is None
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: "0.0" if name == "LDVERSION" else "")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert needs.missing_library() == (
        f"the shared library of Python {version} is needed, and is missing (Debian: apt install libpython3-dev)"
    )


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_one_sentence(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    assert needs.main() == 2
    found = f"this is {version[0]}.{version[1]}"
    assert capsys.readouterr().err == f"error: Python 3.11 to 3.13 is needed, {found}; python=NAME chooses another\n"
