"""A copy of the tree to change, in which its own packages are imported instead of the installed ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy(folder: Path) -> Path:
    """``folder/tree``: the rooms as they are now, their tests and docs, and the files beside them."""
    tree = folder / "tree"
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for room in (*rooms.values(), "tests", "docs"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":  # a linked work tree's: it would mean the original
            shutil.copy(path, tree)
    for package, room in rooms.items():
        link = folder / "path" / package.replace(".", "/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tree / room)
    return tree


def run(tree: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Python, in the copy. What it finds on its path goes before what an editable install knows."""
    path = os.pathsep.join([str(tree.parent / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    # An edit within a second that leaves the size as it is would find the old byte code.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True)
