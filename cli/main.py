"""``spikegpt-hls``: what the Makefile calls, and what a pip user gets.

Exit codes: 0 all is well, 1 the hardware differs from PyTorch, 2 bad input or a missing tool (one sentence says which),
130 interrupted (the same command goes on).
"""

from __future__ import annotations

import errno
import sys
import warnings

import click
from rich.console import Console

from spikegpt_hls.cli.commandline import COMMANDS
from spikegpt_hls.cli.errors import MismatchError, user_errors

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="spikegpt-hls")
def cli() -> None:
    """SpikeGPT as hardware: text in, verified RTL out, with its cycles and energy."""


for command in COMMANDS:
    cli.add_command(command.click())


def main() -> None:
    """Run the command; what a user can cause ends in one sentence."""
    warnings.filterwarnings("ignore", module="brevitas")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of ``spikegpt-hls arguments``."""
    try:
        cli.main(arguments, prog_name="spikegpt-hls", standalone_mode=False)
    except MismatchError as difference:
        return _fail(str(difference), 1)
    except click.NoSuchOption as error:
        setting, command = error.option_name.removeprefix("--"), error.ctx.info_name if error.ctx else "spikegpt-hls"
        return _fail(f"{command} has no setting {setting}=: `spikegpt-hls {command} --help` lists them", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; the same command goes on where it can", 130)
    except OSError as error:
        return _fail(_system_error(error), 2)
    except user_errors() as error:
        return _fail(str(error), 2)
    return 0


def _system_error(error: OSError) -> str:
    place = error.filename or "the build folder"
    if error.errno in _FULL:
        return f"the disk is full: {place} could not be written; earlier results are intact"
    if error.errno in _REFUSED:
        return f"{place} cannot be written or read ({error.strerror}); earlier results are intact"
    return f"{place}: {error.strerror or error}"


def _fail(message: str, code: int) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {message}", markup=False, style="red")
    return code


if __name__ == "__main__":
    main()
