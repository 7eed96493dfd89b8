"""The image of the weights that a device reads from a memory (docs/memory.md), and what is checked of it before."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from spikegpt_hls.hls.driver.errors import DeviceError

MAGIC, VERSION = b"SPKMEM\0\0", 1
HEADER = 4096  # bytes


def header(described: dict[str, int | str]) -> bytes:
    """Magic, version, length of what follows, and what is said of the image as JSON."""
    text = json.dumps(described, sort_keys=True).encode()
    return (MAGIC + struct.pack("<II", VERSION, len(text)) + text).ljust(HEADER, b"\0")


def digest(image: bytes | memoryview) -> str:
    """SHA-256 of all behind the header, in hexadecimal."""
    return hashlib.sha256(memoryview(image)[HEADER:]).hexdigest()


def checked(path: str | Path, size: int, digest_begins: int) -> bytes:
    """The image in a file, for a device that reads ``size`` bytes whose digest begins with those 32 bits; DeviceError
    where it is not whole, or not this device's."""
    try:
        image = Path(path).read_bytes()
    except OSError as error:
        raise DeviceError(f"cannot read the image {path}: {error.strerror}") from error
    described = _described(image, path)
    if described.get("bytes") != len(image) or described.get("sha256") != digest(image):
        raise DeviceError(f"{path} is damaged: it is not what its header says")
    if len(image) != size or int(digest(image)[:8], 16) != digest_begins:
        raise DeviceError(f"{path} is of another model than the device: both come from one run of make hls")
    return image


def _described(image: bytes, path: str | Path) -> dict[str, int | str]:
    if len(image) < HEADER or not image.startswith(MAGIC):
        raise DeviceError(f"{path} is no image of weights")
    version, length = struct.unpack_from("<II", image, len(MAGIC))
    if version != VERSION:
        raise DeviceError(f"{path} has version {version} of the image, not {VERSION}")
    try:
        described = json.loads(image[len(MAGIC) + 8 :][:length])
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise DeviceError(f"{path} is damaged: its header is no JSON")
    return described
