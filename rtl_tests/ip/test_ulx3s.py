"""The top of the ULX3S, from pin to pin: text typed at its serial port is continued with the integer model's bytes."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

from spikegpt_hls.hls.boards import ulx3s
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.model.corpus.tokenizer import ByteTokenizer, CharacterTokenizer, Tokenizer
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import BUILD
from spikegpt_hls.rtl_tests.ip.uart import Uart
from spikegpt_hls.rtl_tests.lint import lint

GENERATE, DIVIDER = 10, 8
SILENCE = 50_000  # bits: no model takes that long for a byte
PROMPTS = (b"spike", b"x", b"The ", b"\xff\x80")
#: Of a model of characters; the board leaves out the others that are typed.
CHARACTERS = "\n !.HTabcdefghiklmnoprstuvwy"
SPELT = (b"spike", b"y", b"\xffThe z", b"Hm!")


@cocotb.test()
async def continues(dut: Any) -> None:
    """Lines one after the other, and one that is typed while the model writes; CR, LF and both end a line."""
    texts = json.loads((Path(os.environ["CASE"]) / "continued.json").read_text())
    prompts, expected = [bytes(text) for text in texts["prompts"]], [bytes(text) for text in texts["continued"]]
    written = len(expected[0])
    cocotb.start_soon(Clock(dut.clk_25mhz, 40, "ns").start())
    dut.btn_fire1.value = 0
    terminal = Uart(dut.ftdi_txd, dut.ftdi_rxd, 40 * int(os.environ["DIVIDER"]))
    cocotb.start_soon(terminal.listen())
    await ClockCycles(dut.clk_25mhz, 40)
    await terminal.type(b"\r\n")
    for number, (prompt, end) in enumerate(zip(prompts, (b"\n", b"\r\n", b"\r", b"\r\n\n"), strict=True)):
        if number != 2:  # the third line does not wait for the second's continuation
            await terminal.wait(number * written, SILENCE)
        await terminal.type(prompt + end)
    await terminal.wait(len(prompts) * written, SILENCE)
    await Timer(20 * terminal.bit, "ns")
    assert bytes(terminal.received) == b"".join(expected), "the board writes something else"
    # the button forgets a prompt that was begun
    await terminal.type(b"forgotten")
    dut.btn_fire1.value = 1
    await ClockCycles(dut.clk_25mhz, 9)
    dut.btn_fire1.value = 0
    await ClockCycles(dut.clk_25mhz, 40)
    await terminal.type(prompts[0] + b"\n")
    await terminal.wait((len(prompts) + 1) * written, SILENCE)
    assert bytes(terminal.received[-written:]) == expected[0], "the button does not reset"


def prepare(folder: Path, tokenizer: Tokenizer | None = None, prompts: Sequence[bytes] = PROMPTS) -> Dataflow:
    from spikegpt_hls.hls.convert import convert
    from spikegpt_hls.hls.frontend.graph import dataflow
    from spikegpt_hls.quant.export.qonnx import export
    from spikegpt_hls.quant.training.calibrate import random_network

    tokenizer = tokenizer or ByteTokenizer()
    network = random_network(1, 8, seed=4, vocabulary=tokenizer.vocabulary)
    export(network, folder)
    graph = convert(folder / "model.onnx", folder, "SpikeRTL", lanes=2, target_cycles=128)
    graph.write()
    expect(network, tokenizer, prompts, folder)
    return dataflow(graph)


def expect(network: Any, tokenizer: Tokenizer, prompts: Sequence[bytes], folder: Path) -> None:
    """What the integer model writes after each prompt, always the likeliest token."""
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper

    spelling = getattr(tokenizer, "characters", bytes(range(ulx3s.BYTES)).decode("latin-1"))
    continued = []
    for prompt in prompts:
        known = [spelling.index(chr(byte)) for byte in prompt if chr(byte) in spelling]
        ids = generate(Stepper(network), known, GENERATE, Sampler(temperature=0))
        continued.append([ord(spelling[token]) for token in ids])
    texts = {"prompts": [list(prompt) for prompt in prompts], "continued": continued}
    (folder / "continued.json").write_text(json.dumps(texts))


def build(folder: Path, divider: int = DIVIDER, level: int = 0) -> None:
    files = [path for path in sorted((folder / "rtl").glob("*.sv")) if path.name != "testbench.sv"]
    assert lint(ulx3s.TOP, list(map(str, files))) == ""
    parameters = {"DIVIDER": divider, "GENERATE": GENERATE}
    simulator.build(files, ulx3s.TOP, folder, parameters, level=level)


def run(folder: Path, rtl: Path, divider: int = DIVIDER) -> None:
    environment = {"CASE": str(folder), "DIVIDER": str(divider)}
    simulator.run(ulx3s.TOP, __name__, folder, environment, cwd=rtl, logs=folder)


def test_text_at_the_serial_port_is_continued_as_the_integer_model_does(tmp_path: Path) -> None:
    folder = BUILD.resolve() / "ulx3s"
    ulx3s.write(prepare(folder), folder / "rtl")
    build(folder)
    run(folder, folder / "rtl")
    # the negative control: one bit of one weight
    flipped = Path(shutil.copytree(folder / "rtl", tmp_path / "flipped"))
    image = flipped / "images" / "head_weight.hex"
    words = image.read_text().splitlines()
    words = [f"{int(word, 16) ^ 1 << 6:0{len(word)}x}" for word in words]
    image.write_text("\n".join(words) + "\n")
    with pytest.raises(AssertionError, match="the board writes something else"):
        run(folder, flipped)


def test_a_model_of_characters_is_spoken_to_in_them(tmp_path: Path) -> None:
    folder = BUILD.resolve() / "ulx3s_characters"
    model = prepare(folder, CharacterTokenizer(CHARACTERS), SPELT)
    ulx3s.write(model, folder / "rtl", CHARACTERS)
    build(folder)
    run(folder, folder / "rtl")
    # the negative control: two letters of the alphabet change places
    swapped = CHARACTERS.replace("e", "?").replace("a", "e").replace("?", "a")
    shutil.copytree(folder / "rtl", tmp_path / "rtl")
    shutil.copyfile(folder / "continued.json", tmp_path / "continued.json")
    ulx3s.write(model, tmp_path / "rtl", swapped)
    build(tmp_path)
    with pytest.raises(AssertionError, match="the board writes something else"):
        run(tmp_path, tmp_path / "rtl")


@pytest.mark.parametrize(
    ("characters", "said"),
    [
        ("", r"needs a model of 256 tokens .* not one of 28"),
        ("\xe9" + CHARACTERS[1:], r"the character 'é' is not one of ASCII"),
    ],
)
def test_a_model_of_other_tokens_is_refused(tmp_path: Path, characters: str, said: str) -> None:
    found = prepare(tmp_path, CharacterTokenizer(CHARACTERS), SPELT)
    with pytest.raises(ConversionError, match=said):
        ulx3s.write(found, tmp_path / "rtl", characters)


def test_the_pins_are_those_of_the_top() -> None:
    """Every port of the top has a place, and nothing else has."""
    pins = {line.split('"')[1] for line in ulx3s.PINS.read_text().splitlines() if line.startswith("LOCATE")}
    assert pins == {"clk_25mhz", "ftdi_txd", "ftdi_rxd", "btn_fire1", "wifi_gpio0", "led[0]", "led[1]"}
