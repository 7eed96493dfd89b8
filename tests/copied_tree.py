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
    """``folder/tree``: every file of the tree as it is now, but for what git ignores."""
    tree = folder / "tree"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (source := ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, tree / name)
    rooms = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
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
