"""Text: what is refused, and with which sentence."""

import io
import urllib.error
from pathlib import Path

import pytest

from spikegpt_hls.model import text
from spikegpt_hls.model.errors import ModelError


def test_default_text_is_the_same_every_time_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("used the network"))
    assert text.load() == text.load("python")
    assert len(text.load()) > 300_000


def test_split_is_ninety_five_five_and_loses_nothing() -> None:
    parts = text.split(bytes(range(200)) * 10, 64)
    assert [len(part) for part in parts] == [1800, 100, 100]
    assert b"".join(parts) == bytes(range(200)) * 10


def test_a_text_too_short_for_the_context_is_refused() -> None:
    shortest = next(n for n in range(2000) if _splits(n, 64))
    assert not _splits(shortest - 1, 64)
    with pytest.raises(ModelError, match="has 100 bytes, a context of 64 needs"):
        text.split(bytes(100), 64)


def _splits(length: int, context: int) -> bool:
    try:
        return min(map(len, text.split(bytes(length), context))) > context
    except ModelError:
        return False


def test_missing_empty_and_unreadable_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nothing.txt: No such file.*shakespeare"):
        text.load(str(tmp_path / "nothing.txt"))
    with pytest.raises(ModelError, match="Is a directory"):
        text.load(str(tmp_path))
    (tmp_path / "empty").touch()
    with pytest.raises(ModelError, match="is empty"):
        text.load(str(tmp_path / "empty"))


@pytest.mark.parametrize("name", text.DOWNLOADS)
def test_offline_names_the_url_and_where_to_put_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    source = text.DOWNLOADS[name]
    with pytest.raises(ModelError) as error:
        text.load(name, tmp_path)
    assert source.url in str(error.value)
    assert str(tmp_path / name / source.file) in str(error.value)


def test_a_download_with_another_digest_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: io.BytesIO(b"captive portal"))
    with pytest.raises(ModelError, match="SHA-256 differs"):
        text.load("shakespeare", tmp_path)
    assert not list(tmp_path.rglob("*.txt"))
    (tmp_path / "shakespeare").mkdir()
    (tmp_path / "shakespeare" / "input.txt").write_bytes(b"something else")
    with pytest.raises(ModelError, match="remove or replace"):
        text.load("shakespeare", tmp_path)


def test_a_good_download_is_kept_and_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"all the world's a stage"
    monkeypatch.setitem(text.DOWNLOADS, "stage", text.Download("https://host/stage.txt", text.digest(content)))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: io.BytesIO(content))
    assert text.load("stage", tmp_path) == content
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("downloaded twice"))
    assert text.load("stage", tmp_path) == content


def test_the_vectors_text_of_shakespeare_has_the_digest_that_is_expected() -> None:
    path = Path(__file__).parents[1] / "../shared/data/tinyshakespeare.txt"
    if not path.is_file():
        pytest.skip("../shared/data/tinyshakespeare.txt is not there")
    assert text.digest(path.read_bytes()) == text.DOWNLOADS["shakespeare"].sha256
