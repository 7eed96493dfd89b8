"""The driver of the model's IP, in the manner of PYNQ's: registers over MMIO, tokens and logits over a DMA.

Nothing here knows which hardware it talks to. On a PYNQ board::

    overlay = pynq.Overlay("spikegpt.bit")
    model = SpikeGPT(overlay.spikegpt_ip_0.mmio, PynqStream(overlay.axi_dma_0, pynq.allocate))
    logits = model.run([84, 104, 101])             # (3, vocabulary) integers
    ids = model.generate([84, 104, 101], 32)       # the model reads its own tokens, on the chip

A classifier takes sentences, as ids or, with an ``encode``, as they are written::

    model = SpikeGPT(overlay.spikegpt_ip_0.mmio, stream, encode=words("tokenizer.json"))
    model.classify("a gripping film")              # 1

One whose weights lie in a memory outside is given them first::

    model.load("memory.bin", pynq.allocate)

In simulation the same class gets transports that move the ports of the simulated top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikegpt_hls.hls.driver.errors import DeviceError
from spikegpt_hls.hls.driver.image import checked
from spikegpt_hls.hls.driver.registers import (
    CLEAR,
    COUNTERS,
    ERRORS,
    FAULTS,
    IDENTITY,
    MODES,
    OFFSET,
    RESET,
    RESETTING,
    RESUME,
    RUN,
    VERSION,
)

#: A word of a packet is an id, and above it the context.
CONTEXT_SHIFT = 24
ID = (1 << CONTEXT_SHIFT) - 1


class Mmio(Protocol):
    """Registers by their offset in bytes; ``pynq.MMIO`` is one."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, value: int) -> None: ...


class Stream(Protocol):
    """One packet in, one packet out. ``send`` does not wait for the model; ``receive`` does."""

    def send(self, words: NDArray[np.uint32], room: int) -> None:
        """``room``: bytes at most of each packet that comes of it."""
        ...

    def receive(self) -> NDArray[np.uint8]:
        """The bytes of the next packet."""
        ...


@dataclass(frozen=True)
class Geometry:
    """What the device says of itself."""

    vocabulary: int
    channels: int
    layers: int
    lanes: int
    contexts: int
    logit_bits: int
    fraction_bits: int
    slot_bits: int
    spiking: int
    beat_bytes: int
    driven: int
    classes: int
    longest: int
    memory_bytes: int

    @property
    def outputs(self) -> int:
        """Logits of a token."""
        return self.classes or self.vocabulary


@dataclass(frozen=True)
class Errors:
    """``kinds`` that were seen since the last ``clear_errors``, how often, and where the first one was."""

    kinds: tuple[str, ...]
    count: int
    position: int
    id: int

    def __bool__(self) -> bool:
        return bool(self.kinds)


class SpikeGPT:
    """A model in hardware. Its methods raise DeviceError where a packet was malformed; the next one is right again.

    ``encode`` makes ids of a sentence that ``classify`` is given as text.
    """

    def __init__(self, mmio: Mmio, stream: Stream, encode: Callable[[str], Sequence[int]] | None = None) -> None:
        self.mmio, self.stream, self.encode = mmio, stream, encode
        identity = self.read("identity")
        if identity != IDENTITY:
            raise DeviceError(f"the device at this address calls itself 0x{identity:08x}, not 0x{IDENTITY:08x}")
        if self.read("version") != VERSION:
            raise DeviceError(f"the device has version {self.read('version')} of the registers, not {VERSION}")
        self.geometry = self._geometry()
        self._weights: Any = None  # the buffer that the device reads
        self.write("control", RUN)

    def read(self, name: str) -> int:
        """A register by its name."""
        return int(self.mmio.read(OFFSET[name]))

    def write(self, name: str, value: int) -> None:
        self.mmio.write(OFFSET[name], value)

    def load(self, image: str | Path, allocate: Callable[..., Any]) -> None:
        """Put the image of the weights (``rtl/memory.bin``) where the device reads it; ``allocate`` is
        ``pynq.allocate``. An image that is damaged, or another model's, is refused, and the one before stays."""
        if not self.geometry.memory_bytes:
            raise DeviceError("this device has its weights on the chip: there is nothing to load")
        data = checked(image, self.geometry.memory_bytes, self.read("memory_digest"))
        weights = allocate(shape=(len(data),), dtype=np.uint8)
        if weights.device_address + len(data) > 1 << 32:
            raise DeviceError("the device reads the first 4 GiB of the memory, and this buffer lies behind them")
        weights[:] = np.frombuffer(data, np.uint8)
        weights.flush()
        self.write("memory_base", weights.device_address)
        self.reset()
        self._weights = weights

    def run(
        self, ids: Sequence[int] | NDArray, context: int = 0, resume: bool = False, length: int = 0
    ) -> NDArray[np.int64]:
        """Ids (T,) to the logits (T, outputs) after each: integers, of which ``fraction_bits`` are fraction.

        A call is a sequence of its own, or with ``resume`` goes on where its context was. ``length``: what the device
        shall hold the number of ids to (0: any).
        """
        outputs, lanes = self.geometry.outputs, self.geometry.lanes
        beats = -(-outputs // lanes)  # the last one may have places that mean nothing
        self._set("logits", resume, length=length)
        raw = self._exchange(ids, context, len(ids) * beats)
        slots = raw.view(f"<i{self.geometry.slot_bits // 8}").reshape(len(raw) // self.geometry.beat_bytes, -1)
        return slots[:, :lanes].reshape(len(ids), -1)[:, :outputs].astype(np.int64)

    def likeliest(self, ids: Sequence[int] | NDArray, context: int = 0, resume: bool = False) -> list[int]:
        """The likeliest successor of each id: argmax of ``run``, taken on the chip."""
        self._set("tokens", resume)
        return self._ids(self._exchange(ids, context, len(ids)))

    def classify(self, sentence: str | Sequence[int] | NDArray, context: int = 0) -> int:
        """The class of a sentence: argmax of the sums of ``run`` over its tokens, of equals the lowest, all of it on
        the chip."""
        if not self.geometry.classes:
            raise DeviceError("this device continues text: it has no classes")
        if isinstance(sentence, str):
            if self.encode is None:
                raise DeviceError("a sentence as text needs the driver's encode=, such as words('tokenizer.json')")
            sentence = self.encode(sentence)
        if len(sentence) > self.geometry.longest:
            raise DeviceError(f"a sentence has at most {self.geometry.longest} tokens here, not {len(sentence)}")
        self._set("classify", resume=False)
        return self._ids(self._exchange(sentence, context, 1))[0]

    def generate(self, prompt: Sequence[int] | NDArray, tokens: int, resume: bool = False) -> list[int]:
        """``tokens`` ids that follow ``prompt``, each the likeliest, without the host between them."""
        return self.generate_all([prompt], tokens, resume)[0]

    def generate_all(
        self, prompts: Sequence[Sequence[int] | NDArray], tokens: int, resume: bool = False
    ) -> list[list[int]]:
        """As ``generate``, for up to ``contexts`` prompts at once: prompt n is written in context n."""
        if self.geometry.classes:
            raise DeviceError("this device classifies: it has no tokens to go on with")
        if not 1 <= tokens < 1 << 16:
            raise DeviceError(f"1 to 65535 tokens can be generated at once, not {tokens}")
        self._set("generate", resume, count=tokens)
        for context, prompt in enumerate(prompts):
            self._send(prompt, context, tokens)
        found: list[list[int]] = [[] for _ in prompts]
        while any(len(ids) < tokens for ids in found):
            words = self._words(self.stream.receive())
            found[words[0] >> CONTEXT_SHIFT] += [word & ID for word in words]
            self._check()
        return found

    @property
    def counters(self) -> dict[str, int]:
        """Cycles, tokens, stalls and beats of the memory since the last reset."""
        return {name: self._counter(OFFSET[name]) for name in COUNTERS}

    @property
    def spikes(self) -> list[int]:
        """Spikes of each LIF layer since the last reset."""
        return [self._counter(OFFSET["spikes"] + 8 * layer) for layer in range(self.geometry.spiking)]

    @property
    def reads(self) -> list[int]:
        """Words of weights that each Linear driven by events read since the last reset: one an event and a row."""
        return [self._counter(OFFSET["reads"] + 8 * linear) for linear in range(self.geometry.driven)]

    @property
    def errors(self) -> Errors:
        flags = self.read("errors")
        kinds = tuple(kind for bit, kind in enumerate(ERRORS) if flags >> bit & 1)
        return Errors(kinds, self.read("error_count"), self.read("error_position"), self.read("error_id"))

    def clear_errors(self) -> None:
        self.write("control", RUN | CLEAR)

    def reset(self) -> None:
        """Empty the model: packets under way are lost, counters, errors and what the memory did begin anew. Reset the
        DMA too."""
        self.write("control", RUN | RESET)
        while self.read("status") & RESETTING:
            pass

    def _geometry(self) -> Geometry:
        logits, read = self.read("logits"), self.read
        return Geometry(
            *(read("vocabulary"), read("channels"), read("layers"), read("lanes"), read("contexts")),
            *(logits & 0xFF, logits >> 8 & 0xFF, logits >> 16 & 0xFF),
            *(read("spiking"), read("beat_bytes"), read("driven"), read("classes"), read("longest")),
            read("memory_bytes"),
        )

    def _set(self, mode: str, resume: bool, length: int = 0, count: int = 1) -> None:
        self.write("mode", MODES.index(mode) | (RESUME if resume else 0))
        self.write("length", length)
        self.write("generate", count)

    def _send(self, ids: Sequence[int] | NDArray, context: int, beats: int) -> None:
        if self.geometry.memory_bytes and self._weights is None:
            raise DeviceError("the device has no weights yet: load(image, pynq.allocate)")
        if not len(ids):
            raise DeviceError("a packet needs at least 1 id")
        if not 0 <= context < self.geometry.contexts:
            raise DeviceError(f"the device has {self.geometry.contexts} contexts: there is no context {context}")
        if max(ids) > ID or min(ids) < 0:
            raise DeviceError(f"an id is a number from 0 to {ID}")
        words = np.asarray(ids, np.uint32) | np.uint32(context << CONTEXT_SHIFT)
        self.stream.send(words, beats * self.geometry.beat_bytes)

    def _exchange(self, ids: Sequence[int] | NDArray, context: int, beats: int) -> NDArray[np.uint8]:
        self._send(ids, context, beats)
        raw = self.stream.receive()
        self._check()
        return raw

    def _check(self) -> None:
        if flags := self.read("memory_faults"):
            kinds = ", ".join(kind for bit, kind in enumerate(FAULTS) if flags >> bit & 1)
            raise DeviceError(f"reading weights met {kinds}: what the model says is wrong until reset()")
        if self.read("errors"):
            errors = self.errors
            raise DeviceError(
                f"malformed packet ({', '.join(errors.kinds)}) at position {errors.position}: id {errors.id}"
            )

    def _ids(self, raw: NDArray[np.uint8]) -> list[int]:
        return [word & ID for word in self._words(raw)]

    def _words(self, raw: NDArray[np.uint8]) -> list[int]:
        return [int(beat) for beat in raw.view("<u4").reshape(-1, self.geometry.beat_bytes // 4)[:, 0]]

    def _counter(self, offset: int) -> int:
        low = int(self.mmio.read(offset))
        return int(self.mmio.read(offset + 4)) << 32 | low
