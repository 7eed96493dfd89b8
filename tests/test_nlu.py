"""Classifying sentences: readers, the tiny network that learns, integers, and the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tokenizers.pre_tokenizers import CharDelimiterSplit

from spikegpt_hls.cli.errors import MismatchError
from spikegpt_hls.cli.graph.settings import Nothing
from spikegpt_hls.cli.main import run
from spikegpt_hls.cli.steps.nlu import verify
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.driver.words import words
from spikegpt_hls.model.classify import nlu
from spikegpt_hls.model.classify.classification import Classification, accuracy, majority, predictions, set_dropout
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.corpus.tokenizer import load as load_tokenizer
from spikegpt_hls.model.corpus.tokenizer import save as save_tokenizer
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training.train import Plan
from spikegpt_hls.quant.export.vectors import formats_of, trace
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.ops.class_sum import ClassSum
from spikegpt_hls.quant.storage import load_network, save_network
from spikegpt_hls.quant.training.calibrate import calibrate
from spikegpt_hls.quant.training.train_nlu import NluRecipe, start, train_nlu

SHARED = Path(__file__).parents[2] / "shared" / "data" / "nlu"
GOOD, BAD = ("fine", "lovely", "crème"), ("dull", "tired", "cliché")
TINY = NluRecipe(channels=16, batch=16, dropout=0.1, word_dropout=0.0, lr=1e-2, qat_lr=1e-3, ema=0.9)


def sentence(label: int, generator: np.random.Generator) -> str:
    """Filler of any length with one word that gives the label away."""
    words = generator.choice(["the", "film", "is", "a", ","], generator.integers(1, 9)).tolist()
    words.insert(int(generator.integers(len(words) + 1)), str(generator.choice((BAD, GOOD)[label])))
    return f"{label} {' '.join(words)}"


def lines(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [sentence(at % 2, generator) for at in range(count)]


@pytest.fixture
def sst2(tmp_path: Path) -> Path:
    """A folder with an easy task in UTF-8."""
    for seed, (part, count) in enumerate((("train", 240), ("dev", 40), ("test", 60))):
        (tmp_path / f"stsa.binary.{part}").write_text("\n".join(lines(count, seed)) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    """The file of a task in Latin-1."""
    path = tmp_path / "rt-polarity.all"
    path.write_text("\n".join(lines(100)) + "\n", encoding="latin-1")
    return path


def test_latin1_and_utf8_files_give_the_same_sentences(sst2: Path, mr: Path) -> None:
    from_latin1 = nlu.load("mr", mr)
    assert {*GOOD, *BAD} <= {word for text in from_latin1.train.texts for word in text.split()}
    assert nlu.load("sst2", sst2).train.texts[:10] == tuple(line[2:] for line in lines(10))
    assert nlu.load("mr", mr.parent) == from_latin1


def test_a_line_separator_of_latin1_ends_no_line(mr: Path) -> None:
    mr.write_bytes(b"".join(b"%d more\x85 than this\n" % (at % 2) for at in range(10)))
    assert sum(map(len, nlu.load("mr", mr).parts.values())) == 10


def test_the_folds_are_a_cross_validation(mr: Path) -> None:
    folds = [nlu.load("mr", mr, fold) for fold in range(nlu.FOLDS)]
    everything = sorted(text[2:] for text in lines(100))
    assert sorted(text for corpus in folds for text in corpus.test.texts) == everything
    for corpus, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        assert sorted(text for part in corpus.parts.values() for text in part.texts) == everything
        assert corpus.dev == following.test
    assert nlu.load("mr", mr, 3) == folds[3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"2 fine", "label '2'"),
        (b"-1 fine", "label '-1'"),
        (b"x fine", "label 'x'"),
        (b"fine", "label 'fine'"),
        (b"", "is empty"),
        (b"  ", "is empty"),
        (b"1 ", "no sentence"),
        ("1 crème".encode("latin-1"), "not UTF-8"),
        ("1 fine".encode("utf-16-le"), "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(sst2: Path, line: bytes, said: str) -> None:
    path = sst2 / "stsa.binary.dev"
    content = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*content[:6], line, *content[6:]]))
    with pytest.raises(ModelError, match=r"^line 7 of stsa\.binary\.dev") as error:
        nlu.load("sst2", sst2)
    assert said in str(error.value)


def test_utf8_where_latin1_is_expected_is_named(mr: Path) -> None:
    mr.write_text("\n".join(lines(100)), encoding="utf-8")
    first = next(at for at, line in enumerate(lines(100), 1) if not line.isascii())
    with pytest.raises(ModelError, match=f"^line {first} of rt-polarity.all is not LATIN-1"):
        nlu.load("mr", mr)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the data sets are not at {SHARED}")
@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        ("mr", (8528, 1067, 1067)),
        ("subj", (8000, 1000, 1000)),
        ("sst2", (6920, 872, 1821)),
        ("sst5", (8544, 1101, 2210)),
    ],
)
def test_the_public_data_sets_are_read_whole(task: str, sizes: tuple[int, ...]) -> None:
    corpus = nlu.load(task, SHARED)
    assert tuple(map(len, corpus.parts.values())) == sizes
    assert {*corpus.train.labels} == {*corpus.test.labels} == {*range(corpus.classes)}


@pytest.fixture(scope="module")
def networks() -> tuple[SpikeGPT, QuantSpikeGPT]:
    """A random classifier of three classes whose neurons fire, and the same calibrated."""
    torch.manual_seed(0)
    model = SpikeGPT(Config(1, 24, 50, 3))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("output.weight", "ffn.value.weight")):
                parameter.mul_(4)
    network = QuantSpikeGPT(model.config)
    network.warm_start(model)
    calibrate(network, [torch.randint(0, 50, (4, 32))])
    return model.eval(), network.eval()


def random_sentences(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [generator.integers(0, 50, generator.integers(1, 30)) for _ in range(count)]


def test_a_batch_with_padding_predicts_what_each_sentence_alone_does(
    networks: tuple[SpikeGPT, QuantSpikeGPT],
) -> None:
    sentences = random_sentences(12)
    for model in networks:
        together = predictions(model, sentences)
        alone = [int(predictions(model, [sentence])[0]) for sentence in sentences]
        assert together.tolist() == alone
        assert len({*alone}) > 1


def test_integers_predict_the_largest_sum_of_the_streamed_logits(
    networks: tuple[SpikeGPT, QuantSpikeGPT],
) -> None:
    _, network = networks
    sentences = random_sentences(4)
    for sentence, predicted in zip(sentences, predictions(network, sentences), strict=True):
        total, state = torch.zeros(3, dtype=torch.float64), None
        with torch.no_grad():
            for token in sentence:
                logits, state = network.step(torch.tensor([token]), state)
                total += logits[0].double()
        assert predicted == int(total.argmax())


def test_an_epoch_shows_every_sentence_once_however_it_is_divided() -> None:
    sentences = [np.array([at] * (1 + at % 7)) for at in range(64)]
    labels = np.arange(64)
    whole = Classification(sentences, labels, Plan(8, 1e-3, batch=16, seed=3))
    parts = Classification(sentences, labels, Plan(8, 1e-3, batch=8, seed=3))
    seen = []
    for step in range(8):
        batch = whole.batch(step)[2].tolist()
        halves = [parts.batch(step, shard, 2)[2].tolist() for shard in range(2)]
        assert sorted(batch) == sorted(halves[0] + halves[1])
        seen += batch
    assert sorted(seen[:64]) == sorted(seen[64:]) == labels.tolist()
    assert seen[:64] != seen[64:]


def test_word_dropout_leaves_out_words_anew_and_never_all() -> None:
    sentences = [np.array([7]), np.arange(10, 50)]
    thinned = Classification(sentences, np.array([0, 1]), Plan(2, 1e-3, batch=2), word_dropout=0.9)
    seen = []
    for step in range(2):
        ids, own, labels = thinned.batch(step)
        short, long = (ids[labels == label][own[labels == label]].tolist() for label in (0, 1))
        assert short == [7]
        assert 0 < len(long) < 20
        assert long == sorted(long)
        seen.append(long)
    assert seen[0] != seen[1]


def test_dropout_concerns_training_only(networks: tuple[SpikeGPT, QuantSpikeGPT]) -> None:
    ids = torch.randint(0, 50, (2, 20))
    for network in networks:
        before = network(ids)
        set_dropout(network, 0.5)
        assert torch.equal(network(ids), before)
        network.train()
        assert not torch.equal(network(ids), network(ids))
        set_dropout(network, 0.0)
        network.eval()


def test_the_majority_is_that_of_the_training_labels() -> None:
    assert majority(np.array([0, 1, 1]), np.array([0, 0, 0, 1])) == 25


def test_what_can_be_learned_is_learned(sst2: Path, tmp_path: Path) -> None:
    metrics = train_nlu(tmp_path / "out", "sst2", sst2, steps=150, recipe=TINY)
    assert metrics["test_accuracy_majority"] == 50
    assert metrics["test_accuracy_float"] == metrics["test_accuracy_integer"] == 100
    assert metrics == json.loads((tmp_path / "out" / "metrics.json").read_text())
    network, header = load_network(tmp_path / "out" / "checkpoint.safetensors")
    tokenizer = load_tokenizer(tmp_path / "out" / "tokenizer.json")
    assert header["tokenizer_sha256"] == tokenizer.sha256
    test = nlu.load("sst2", sst2).test
    assert accuracy(network, nlu.encoded(test, tokenizer), np.array(test.labels)) == 100


def test_a_checkpoint_is_fine_tuned_with_its_own_tokens(sst2: Path, tmp_path: Path) -> None:
    train_nlu(tmp_path / "first", "sst2", sst2, steps=150, recipe=TINY)
    init = tmp_path / "first" / "checkpoint.safetensors"
    metrics = train_nlu(tmp_path / "second", "sst2", sst2, steps=40, init=init, recipe=TINY)
    scratch = train_nlu(tmp_path / "scratch", "sst2", sst2, steps=40, recipe=TINY)
    assert metrics["tokenizer_sha256"] == load_network(init)[1]["tokenizer_sha256"]
    assert sum(metrics["loss_curve"]) < sum(scratch["loss_curve"])


def test_released_weights_are_fine_tuned_if_their_tokenizer_fits(sst2: Path, tmp_path: Path) -> None:
    init = tmp_path / "released.pth"
    body = SpikeGPT(Config(1, 16, 256))
    torch.save(body.state_dict(), init)
    model, tokenizer = start(nlu.load("sst2", sst2), init, TINY)
    assert tokenizer.unit == "byte"
    assert model.config.classes == 2
    assert torch.equal(model.blocks[0].ffn.key.weight, body.blocks[0].ffn.key.weight)
    word_tokenizer = nlu.word_tokenizer(nlu.load("sst2", sst2).train.texts)
    save_tokenizer(word_tokenizer, tmp_path)
    with pytest.raises(ModelError, match=f"a vocabulary of 256, its tokenizer one of {word_tokenizer.vocabulary}"):
        start(nlu.load("sst2", sst2), init, TINY)


@pytest.fixture
def fails(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Run ``nlu``, or another command, which must fail with exit code 2; its one sentence."""

    def command(*arguments: str, name: str = "nlu") -> str:
        capfd.readouterr()
        assert run([name, "--build", str(tmp_path / "build"), *arguments]) == 2
        (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("error: "))
        return line

    return command


def test_the_command_says_what_it_needs(fails: Callable[..., str], sst2: Path, tmp_path: Path) -> None:
    assert "mr, subj, sst2, sst5" in fails("--task", "imdb", "--data", str(sst2))
    assert "data= is needed" in fails("--task", "sst2")
    assert "stsa.fine.train" in fails("--task", "sst5", "--data", str(sst2))
    assert "nonesuch.safetensors" in fails("--task", "sst2", "--data", str(sst2), "--init", "nonesuch.safetensors")
    (sst2 / "stsa.binary.test").write_text("1 fine\n3 dull\n")
    assert "line 2 of stsa.binary.test" in fails("--task", "sst2", "--data", str(sst2))


def test_the_command_trains_once_and_prints_the_baseline(
    sst2: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["nlu", "--task", "sst2", "--data", str(sst2), "--build", str(tmp_path / "build"), "--steps", "5"]
    assert run(command) == 0
    metrics = tmp_path / "build" / "nlu-sst2" / "metrics.json"
    written = metrics.stat().st_mtime_ns
    shown = capfd.readouterr().out
    assert any("most frequent" in line and "50.00" in line for line in shown.splitlines())
    assert run(command[:3] + command[5:]) == 0  # as before: the data and the steps need not be named again
    assert metrics.stat().st_mtime_ns == written
    with (sst2 / "stsa.binary.train").open("a") as file:
        file.write("1 fine\n")
    assert run(command) == 0
    assert metrics.stat().st_mtime_ns > written


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers of 16 channels."""
    monkeypatch.setattr("spikegpt_hls.quant.training.train_nlu.recipe_of", lambda *_: TINY)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_task_goes_the_whole_way_to_the_classes_of_the_rtl(
    sst2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikegpt_hls.sim.resources.synthesis.resources", lambda *_, **__: {})  # minutes of Yosys
    command = ["cosim", "--task", "sst2", "--data", str(sst2), "--build", str(tmp_path / "build"), "--steps", "120"]
    assert run([*command, "--sentences", "5", "--answers", "9", "--target", "xilinx"]) == 0
    place = tmp_path / "build" / "nlu-sst2"
    result = json.loads((place / "cosim.json").read_text())
    network, _ = load_network(place / "checkpoint.safetensors")
    test = nlu.load("sst2", sst2).test.take(list(range(9)))
    sentences = nlu.encoded(test, load_tokenizer(place / "tokenizer.json"))
    assert result["answers"] == predictions(network, sentences).tolist()
    assert (result["sequences"], result["classes"]["compared"]) == (5, 9)
    assert result["tokens"] == sum(map(len, sentences[:5]))
    assert result["mismatches"] == result["classes"]["mismatches"] == 0
    assert result["accuracy_rtl"] == result["accuracy_integer"] == accuracy(network, sentences, np.array(test.labels))
    ip = place / "hls" / "xilinx" / "ip"
    assert [words(ip / "tokenizer.json")(text) for text in test.texts] == [ids.tolist() for ids in sentences]
    # another class for one sentence is no agreement, and its place is said
    told = json.loads((place / "sentences.json").read_text())
    told["classes"][4] ^= 1
    (place / "sentences.json").write_text(json.dumps(told))
    wrong = Workspace(place, "nlu-sst2", "xilinx")
    with pytest.raises(MismatchError, match=r"the RTL says class \d of test sentence 4, PyTorch \d; 1 of 9 differ"):
        verify(wrong, Nothing(), Console(quiet=True))


@pytest.mark.usefixtures("tiny")
def test_what_hardware_cannot_be_made_of_is_said(fails: Callable[..., str], sst2: Path, tmp_path: Path) -> None:
    data, place = ("--data", str(sst2)), tmp_path / "build" / "nlu-sst2"
    for name in ("cosim", "hls"):
        assert "mr, subj, sst2, sst5" in fails("--task", "imdb", *data, name=name)
        assert "data= is needed" in fails("--task", "sst2", name=name)
        assert "nowhere/stsa.binary.train" in fails("--task", "sst2", "--data", "nowhere", name=name)
        assert "of the task sst2 has no setting tokenizer=" in fails(
            "--task", "sst2", "--tokenizer", "bytes", name=name
        )
        assert "without a task= has no setting sentences=" in fails("--sentences", "3", name=name)
    assert "leave rtl= out" in fails("--task", "sst2", *data, "--rtl", "vitis", name="cosim")
    assert "unknown target 'asic'" in fails("--task", "sst2", "--target", "asic", name="cosim")
    short = ("--task", "sst2", *data, "--steps", "5")
    assert "sst2 has 60 test sentences, not 61" in fails(*short, "--sentences", "61", name="hls")
    assert "sst2 has 60 test sentences, not 62" in fails(*short, "--sentences", "3", "--answers", "62", name="hls")
    # the checkpoint of another task, or of none
    mr = tmp_path / "build" / "nlu-mr"
    mr.mkdir()
    shutil.copy(place / "checkpoint.safetensors", mr)
    assert "checkpoint.safetensors is of the task sst2, not of mr" in fails("--task", "mr", *data, name="hls")
    network, header = load_network(place / "checkpoint.safetensors")
    save_network(network, place / "checkpoint.safetensors", {})
    assert "is of no task" in fails("--task", "sst2", name="hls")
    # others' sentences, and a folder that is gone
    save_network(network, place / "checkpoint.safetensors", {**header, "data_sha256": "0"})
    assert "are others than those" in fails("--task", "sst2", name="hls")
    (place / "metrics.json").unlink()
    assert "does not say where its sentences lie" in fails("--task", "sst2", name="hls")


def test_a_sentence_of_no_token_is_named() -> None:
    tokenizer = nlu.word_tokenizer(["fine fine"])
    tokenizer.subwords.pre_tokenizer = CharDelimiterSplit("x")
    with pytest.raises(ModelError, match="no token of the sentence 'xx'"):
        nlu.encoded(nlu.Examples(("fine", "xx"), (0, 1)), tokenizer)


def test_the_sums_of_the_hardware_are_those_of_pytorch(networks: tuple[SpikeGPT, QuantSpikeGPT]) -> None:
    _, network = networks
    sentences = random_sentences(20)
    total = ClassSum(formats_of(network)["head"])
    logits = trace(network, sentences)["head"]
    classes = total.classes(logits, [len(sentence) for sentence in sentences])
    assert classes.tolist() == predictions(network, sentences).tolist()
    assert len({*classes.tolist()}) > 1
