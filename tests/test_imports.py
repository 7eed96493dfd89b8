"""Who may import whom: arrows point down, nothing imports a test, and hardware benches never load torch."""

import ast
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("host", "model", "quant", "hls", "rtl_tests", "sim", "cli")
ALLOWED = {
    "host": set(),
    "model": {"host"},
    "quant": {"host", "model"},
    "hls": {"host", "quant"},
    "rtl_tests": {"host", "hls", "quant", "model", "sim"},
    "sim": {"host", "hls", "quant"},
    "cli": set(OURS),
}
#: Never load torch: the integer meaning, and all that runs inside a simulator or reads a graph.
WITHOUT_TORCH = (
    "host", "quant/errors.py", "quant/format.py", "quant/operation", "quant/ops", "quant/graph.py",
    "quant/qonnx_ops.py", "hls", "rtl_tests", "sim", "model/sampling.py",
)  # fmt: skip

#: Python files of one folder, at most; a folder is one idea.
MOST_FILES = 14


def test_every_folder_of_ours_is_packaged() -> None:
    """An editable install finds what a wheel would lack."""
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for folder in OURS for path in (ROOT / folder).rglob("*.py")}
    assert sorted(packaged) == sorted("spikegpt_hls." + str(folder).replace("/", ".") for folder in folders)


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources(place: str) -> list[Path]:
    """The package's own files below a place; benches (``test_*.py``) may bring any package together."""
    path = ROOT / place
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [file for file in found if not file.name.startswith("test_")]


@pytest.mark.parametrize("folder", OURS)
def test_folders_import_in_one_direction(folder: str) -> None:
    for path in sources(folder):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("spikegpt_hls.")}
        assert ours <= ALLOWED[folder] | {folder}, f"{path} imports {ours}"


@pytest.mark.parametrize("place", WITHOUT_TORCH)
def test_what_hardware_needs_never_loads_torch(place: str) -> None:
    for path in sources(place):
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"torch", "brevitas"}, f"{path} loads torch"


@pytest.mark.parametrize("folder", OURS)
def test_imports_are_absolute(folder: str) -> None:
    """``import model`` would find another package's folder; a relative import hides which folder is meant."""
    for path in sources(folder):
        bare = {name.split(".")[0] for name in imports(path)} & set(OURS)
        assert not bare, f"{path} imports {bare} without spikegpt_hls"


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its import name, tests among them."""
    named = {}
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(("spikegpt_hls", *parts)).removesuffix(".__init__")] = path
    return named


def test_nothing_imports_a_test() -> None:
    """What two tests share, or a tool and a test, lies beside them."""
    tests = {name for name in modules() if name.split(".")[-1].startswith("test_")}
    tests |= {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    for path in [*modules().values(), *(ROOT / "tests").glob("*.py"), ROOT / "conftest.py"]:
        assert not imports(path) & tests, f"{path} imports {imports(path) & tests}"


def test_no_two_modules_import_each_other() -> None:
    """However many lie between them, and wherever in the file the import stands."""
    named = modules()
    TopologicalSorter({name: depends(path) & named.keys() for name, path in named.items()}).prepare()


def depends(path: Path) -> set[str]:
    """``imports``, but ``from package import module`` needs the module alone, not its package's other names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner if inner <= modules().keys() else inner | {node.module}
    return names


def test_folders_are_small() -> None:
    for folder in sorted({path.parent for path in modules().values()}):
        count = len(list(folder.glob("*.py")))
        assert count <= MOST_FILES, f"{folder} has {count} Python files"
