"""Text: what is refused, and with which sentence."""

import io
import urllib.error
import zipfile
from pathlib import Path

import pytest

from spikegpt_hls.model.corpus import text
from spikegpt_hls.model.errors import ModelError


def test_default_text_is_the_same_every_time_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("used the network"))
    found = text.find()
    assert found.sha256 == text.find("python").sha256
    assert found.bytes > 300_000


def test_missing_empty_and_unreadable_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nothing.txt: No such file.*shakespeare"):
        text.find(str(tmp_path / "nothing.txt"))
    with pytest.raises(ModelError, match="Is a directory"):
        text.find(str(tmp_path))
    (tmp_path / "empty").touch()
    with pytest.raises(ModelError, match="is empty"):
        text.find(str(tmp_path / "empty"))


@pytest.mark.parametrize("name", text.DOWNLOADS)
def test_offline_names_the_url_and_where_to_put_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    source = text.DOWNLOADS[name]
    with pytest.raises(ModelError) as error:
        text.find(name, tmp_path)
    assert source.url in str(error.value)
    assert str(tmp_path / name / source.file) in str(error.value)


def test_a_download_with_another_digest_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: io.BytesIO(b"captive portal"))
    with pytest.raises(ModelError, match="SHA-256 differs"):
        text.find("shakespeare", tmp_path)
    assert not list(tmp_path.rglob("*.txt"))
    (tmp_path / "shakespeare").mkdir()
    (tmp_path / "shakespeare" / "input.txt").write_bytes(b"something else")
    with pytest.raises(ModelError, match="remove or replace"):
        text.find("shakespeare", tmp_path)


def test_a_good_download_is_kept_and_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"all the world's a stage"
    monkeypatch.setitem(text.DOWNLOADS, "stage", text.Download("https://host/stage.txt", text.digest(content)))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: io.BytesIO(content))
    assert b"".join(text.find("stage", tmp_path).chunks(5)) == content
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("downloaded twice"))
    assert b"".join(text.find("stage", tmp_path).chunks(5)) == content


def test_the_members_of_an_archive_are_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("first", "second", "other"):
            file.writestr(name, f"the {name} part ")
    source = text.Download("https://host/parts.zip", text.digest(archive.getvalue()), ("first", "second"))
    monkeypatch.setitem(text.DOWNLOADS, "parts", source)
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: io.BytesIO(archive.getvalue()))
    found = text.find("parts", tmp_path)
    assert b"".join(found.chunks(7)) == b"the first part the second part "
    assert (found.bytes, found.sha256) == (31, text.digest(b"the first part the second part "))


def test_the_vectors_text_of_shakespeare_has_the_digest_that_is_expected() -> None:
    path = Path(__file__).parents[1] / "../shared/data/tinyshakespeare.txt"
    if not path.is_file():
        pytest.skip("../shared/data/tinyshakespeare.txt is not there")
    assert text.digest(path.read_bytes()) == text.DOWNLOADS["shakespeare"].sha256
