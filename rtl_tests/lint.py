"""``verilator --lint-only -Wall`` over every block: ``python -m spikegpt_hls.rtl_tests.lint``."""

from __future__ import annotations

import subprocess
import sys

from spikegpt_hls.hls.boards import ulx3s
from spikegpt_hls.hls.ip import writer as ip
from spikegpt_hls.hls.rtl import rows
from spikegpt_hls.hls.rtl.blocks import MODULES, files, sources
from spikegpt_hls.rtl_tests import verilate

#: Not of interest: an output left open on purpose.
WAIVED = ("-Wno-PINCONNECTEMPTY",)


def lint(module: str, files: list[str]) -> str:
    """What Verilator has to say about ``module``; empty where it is clean."""
    command = [str(verilate.VERILATOR), "--lint-only", "-Wall", *WAIVED, "--top-module", module, *files]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=verilate.environment()).stderr


def main() -> int:
    """Print every complaint; 1 where there is one."""
    units = {module: [str(path) for path in sources(kind)] for kind, module in MODULES.items()}
    units |= {
        module: [str(path) for path in files(module)]
        for module in ("shared_linear", "event_linear", "engine", "counters", *rows.MODULES)
    }
    around = (*ip.MODULES, *ulx3s.MODULES)
    units |= {module: [str(path) for path in ip.sources(module)] for module in around}
    complaints = [text for module, files in units.items() if (text := lint(module, files))]
    sys.stderr.write("".join(complaints))
    print(f"verilator: {len(units)} modules, {len(complaints)} with complaints")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
