"""What the project needs of the system: ``python needs.py`` checks it before anything else is done.

The Makefile runs this file before there is an environment, so it imports nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence

OLDEST, NEWEST = (3, 11), (3, 13)
#: Programs that building a simulation calls; each is in the Debian package of its name.
PROGRAMS = ("g++", "make")


def missing_program(names: Sequence[str] = PROGRAMS) -> str | None:
    """What is wrong, in one sentence, where one of these programs is not on the PATH."""
    for name in names:
        if shutil.which(name) is None:
            return f"{name} is needed, and is not on the PATH (Debian: apt install {name})"
    return None


def python_library() -> str | None:
    """The shared library of this Python, with which a simulation runs its bench; None where there is none."""
    name = f"libpython{sysconfig.get_config_var('LDVERSION')}.so.1.0"
    folders = sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib")
    for path in (*(os.path.join(folder, name) for folder in folders), name):
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return path
    return None


def missing_library() -> str | None:
    """What is wrong, in one sentence, where this Python has no shared library."""
    if python_library() is not None:
        return None
    version = ".".join(map(str, sys.version_info[:2]))
    return f"the shared library of Python {version} is needed, and is missing (Debian: apt install libpython3-dev)"


def _wrong_python() -> str | None:
    """The same, where this Python cannot carry the environment."""
    found = sys.version_info[:2]
    if not OLDEST <= found <= NEWEST:
        spans = " to ".join(".".join(map(str, version)) for version in (OLDEST, NEWEST))
        return f"Python {spans} is needed, this is {'.'.join(map(str, found))}; python=NAME chooses another"
    if importlib.util.find_spec("ensurepip") is None:
        return "venv of Python is needed, and is missing (Debian: apt install python3-venv)"
    return None


def main() -> int:
    wrong = _wrong_python() or missing_program() or missing_library()
    if wrong is not None:
        print(f"error: {wrong}", file=sys.stderr)
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
