"""Tokenizers and token files: ids do not depend on how a text is read, and nothing is read twice."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Subwords
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from spikegpt_hls.model.corpus import text, tokenizer, tokens
from spikegpt_hls.model.corpus.tokenizer import ByteTokenizer, CharacterTokenizer, Tokenizer
from spikegpt_hls.model.errors import ModelError

TEXT = "First Citizen:\nBefore we proceed, hear me —\n\n  café, 日本語 🎉 speak.\n" * 30


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[i : i + size] for i in range(0, len(content), size))


@pytest.fixture(scope="module")
def subwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE of 300 entries and one added token, as GPT-2 and GPT-NeoX have."""
    made = Subwords(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([TEXT], trainer)
    made.add_tokens(["    "])
    path = tmp_path_factory.mktemp("subwords") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture(params=["bytes", "characters", "subwords"])
def any_tokenizer(request: pytest.FixtureRequest, subwords: Path) -> Tokenizer:
    if request.param == "bytes":
        return ByteTokenizer()
    return tokenizer.load(subwords) if request.param == "subwords" else CharacterTokenizer.of_text([TEXT.encode()])


@pytest.mark.parametrize("size", [1, 3, 64, 1 << 20])
def test_ids_do_not_depend_on_where_chunks_end(any_tokenizer: Tokenizer, size: int) -> None:
    whole = any_tokenizer.encode(TEXT.encode())
    assert np.array_equal(np.concatenate(list(any_tokenizer.encode_stream(pieces(TEXT.encode(), size)))), whole)
    assert whole.max() < any_tokenizer.vocabulary


def other_kinds() -> dict[str, Subwords]:
    """Tokenizers that put a space in front of a text, or change it first: SentencePiece's, Llama's, GPT-2's, BERT's."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    quiet = {"show_progress": False}
    sentence = Subwords(models.Unigram())
    sentence.pre_tokenizer, sentence.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    sentence.train_from_iterator(
        [TEXT], trainers.UnigramTrainer(vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", **quiet)
    )
    llama = Subwords(models.BPE(byte_fallback=True, unk_token="<unk>"))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    llama.train_from_iterator(TEXT.split(" "), trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], **quiet))
    prefixed = Subwords(models.BPE())
    prefixed.normalizer = normalizers.NFKC()
    prefixed.pre_tokenizer, prefixed.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    prefixed.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, **quiet))
    prefixed.add_tokens(["Citizen:"])
    bert = Subwords(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer, bert.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece()
    bert.train_from_iterator([TEXT], trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]"], **quiet))
    return {"metaspace": sentence, "llama": llama, "prefix space": prefixed, "wordpiece": bert}


@pytest.mark.parametrize("kind", ["metaspace", "llama", "prefix space", "wordpiece"])
@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_tokenizers_of_other_kinds_read_a_text_as_their_library_does(kind: str, size: int) -> None:
    theirs = other_kinds()[kind]
    ours = tokenizer.of_content(theirs.to_str().encode(), kind)
    whole = theirs.encode(TEXT, add_special_tokens=False).ids
    assert np.concatenate(list(ours.encode_stream(pieces(TEXT.encode(), size)))).tolist() == whole
    assert "".join(ours.decode_stream(whole)) == theirs.decode(whole, skip_special_tokens=False)


def test_decoding_gives_the_text_back_in_whole_characters(any_tokenizer: Tokenizer) -> None:
    ids = any_tokenizer.encode(TEXT.encode()).tolist()
    assert any_tokenizer.decode(ids) == TEXT
    assert "".join(any_tokenizer.decode_stream(ids[:100])) in TEXT + "\ufffd"
    assert all("\ufffd" not in part for part in any_tokenizer.decode_stream(ids))


def test_text_comes_before_the_next_token_is_asked_for(any_tokenizer: Tokenizer) -> None:
    asked = 0

    def ids() -> Iterator[int]:
        nonlocal asked
        for token in any_tokenizer.encode(b"First").tolist():
            asked += 1
            yield token

    stream = any_tokenizer.decode_stream(ids())
    assert (next(stream)[0], asked) == ("F", 1)


def test_bytes_that_are_no_character_do_not_stop_the_text(subwords: Path) -> None:
    for used in (ByteTokenizer(), tokenizer.load(subwords)):
        lost = used.encode("é".encode())[:1].tolist() if used.unit == "byte" else [subword(subwords, "Ã")]
        text = used.decode([*lost * 9, *used.encode(b"end").tolist()])
        assert text.endswith("end")
        assert set(text[:-3]) == {"\ufffd"}


def subword(path: Path, piece: str) -> int:
    return int(json.loads(path.read_text())["model"]["vocab"][piece])


def test_characters_are_those_of_the_text_sorted() -> None:
    used = CharacterTokenizer.of_text([b"hello"])
    assert (used.characters, used.vocabulary, used.encode(b"hole").tolist()) == ("ehlo", 4, [1, 3, 2, 0])
    with pytest.raises(ModelError, match="'!' is none of the 4 characters"):
        used.encode(b"hello!")


def test_a_vocabulary_counts_added_tokens_and_chooses_the_narrowest_type(subwords: Path) -> None:
    used = tokenizer.load(subwords)
    assert (used.vocabulary, used.dtype, ByteTokenizer().dtype) == (301, np.uint16, np.uint8)
    released = Path(__file__).parents[1] / "../shared/data/20B_tokenizer.json"
    if released.is_file():
        assert tokenizer.load(released).vocabulary == 50277


def test_truncation_and_padding_of_a_tokenizer_file_do_not_touch_a_text(subwords: Path, tmp_path: Path) -> None:
    described = json.loads(subwords.read_text())
    described["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "cut.json").write_text(json.dumps(described))
    cut = tokenizer.load(tmp_path / "cut.json")
    assert np.array_equal(cut.encode(TEXT.encode()), tokenizer.load(subwords).encode(TEXT.encode()))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "is no JSON"), (b"{}", "is no Hugging Face tokenizers file"), (b'{"characters": ""}', "is no Hugging")],
)
def test_a_corrupt_tokenizer_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(ModelError, match=f"broken.json {message}"):
        tokenizer.load(tmp_path / "broken.json")
    with pytest.raises(ModelError, match="unknown tokenizer 'words': choose bytes, characters"):
        tokens.choose("words", text.find())


@pytest.mark.parametrize("size", [1, 5, 100])
def test_what_is_no_utf8_is_named_by_its_place(subwords: Path, size: int) -> None:
    content = "é".encode() * 20 + b"\xff" + b"more"
    for use in (CharacterTokenizer.of_text, lambda chunks: list(tokenizer.load(subwords).encode_stream(chunks))):
        with pytest.raises(ModelError, match="not UTF-8 at byte 40"):
            use(pieces(content, size))
        with pytest.raises(ModelError, match="not UTF-8 at byte 40"):
            use(pieces(content[:40] + b"\xc3", size))


def corpus(folder: Path, content: bytes, name: str = "characters") -> tokens.Corpus:
    (folder / "text").write_bytes(content)
    source = text.find(str(folder / "text"))
    return tokens.prepare(source, tokens.choose(name, source), folder)


def test_a_text_is_read_once_and_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CHUNK", 7)
    made = corpus(tmp_path, TEXT.encode())
    assert isinstance(made.ids, np.memmap)
    assert made.ids.dtype == np.uint8
    assert made.tokenizer.decode(made.ids.tolist()) == TEXT
    monkeypatch.setattr(CharacterTokenizer, "encode_stream", lambda *_: pytest.fail("read twice"))
    assert np.array_equal(corpus(tmp_path, TEXT.encode()).ids, made.ids)


def test_tokens_of_another_text_or_another_tokenizer_are_made_anew(tmp_path: Path) -> None:
    first = corpus(tmp_path, b"abc" * 50)
    assert corpus(tmp_path, b"abcd" * 50).ids[:4].tolist() == [0, 1, 2, 3]
    assert corpus(tmp_path, b"abc" * 50, "bytes").ids[:3].tolist() == [97, 98, 99]
    assert first.ids[:3].tolist() == [0, 1, 2]


def test_a_token_file_that_was_cut_is_made_anew(tmp_path: Path) -> None:
    whole = corpus(tmp_path, b"abc" * 50).ids.tolist()
    (written,) = (tmp_path / tokens.FOLDER).glob("*.bin")
    written.write_bytes(written.read_bytes()[:10])
    assert corpus(tmp_path, b"abc" * 50).ids.tolist() == whole


def test_the_last_tenth_is_held_out_and_must_hold_a_window(tmp_path: Path) -> None:
    ids = bytes(range(200)) * 10
    training, held_out = corpus(tmp_path, ids, "bytes").split(64)
    assert bytes(np.concatenate([training, held_out])) == ids
    assert (len(training), len(held_out)) == (1800, 200)
    size = tokens.smallest(64)
    corpus(tmp_path, bytes(size), "bytes").split(64)
    with pytest.raises(ModelError, match=re.escape(f"has {size - 1} bytes, a context of 64 needs {size} or more")):
        corpus(tmp_path, bytes(size - 1), "bytes").split(64)


def test_a_checkpoint_finds_its_own_tokenizer(tmp_path: Path) -> None:
    used = CharacterTokenizer("abc")
    tokenizer.save(used, tmp_path)
    found = tokenizer.beside(tmp_path / "checkpoint", {"tokenizer_sha256": used.sha256})
    assert found.decode([2, 0]) == "ca"
    assert tokenizer.beside(tmp_path / "checkpoint", {}).vocabulary == 3  # no word of another than the one beside it
    assert tokenizer.beside(tmp_path / "apart" / "checkpoint", {}).vocabulary == 256
    tokenizer.save(CharacterTokenizer("abd"), tmp_path)
    with pytest.raises(ModelError, match="is not the tokenizer that checkpoint was trained with"):
        tokenizer.beside(tmp_path / "checkpoint", {"tokenizer_sha256": used.sha256})
