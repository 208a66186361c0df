"""The `weir` command: its subjects, and what a person sees when something is refused or goes wrong."""

from __future__ import annotations

import importlib
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from deploy.commands.options import data_option
from deploy.settings import misspelt_variables
from meter import __version__
from meter.frame import DamagedSegment, damaged_sentence
from meter.gate import require_assertions
from meter.refusal import Refusal

REFUSED = 2
FAILED = 1
INTERRUPTED = 130
CLOSED_PIPE = 141
ERROR_FILES_MAX = 20


# Each subject is loaded when it is asked for: `weir usage` need not wait for the web server's modules.
SUBJECTS = {
    "found": "found",
    "up": "up",
    "reload": "reload",
    "gateway": "gateway",
    "demo": "demo",
    "status": "status",
    "config": "config",
    "metrics": "metrics",
    "member": "member",
    "role": "role",
    "acts": "acts",
    "register": "register",
    "share": "share",
    "proposal": "proposal",
    "vote": "vote",
    "resolution": "resolution",
    "consent": "consent",
    "hours": "hours",
    "ruleset": "ruleset",
    "bucket": "bucket",
    "engine": "engine",
    "key": "key",
    "login-link": "key",
    "token": "token",
    "usage": "usage",
    "correct": "correct",
    "tariff": "tariff",
    "cost": "cost",
    "ledger": "ledger",
    "pay": "pay",
    "pool": "pool",
    "credit": "credit",
    "income": "income",
    "trueup": "trueup",
    "bill": "bill",
    "statement": "bill",
    "verify": "verify",
    "download": "download",
    "compare": "compare",
    "simulate": "simulate",
    "year": "year",
    "capital": "capital",
    "audit": "audit",
    "heads": "heads",
    "db": "db",
    "ship": "ship",
    "backup": "backup",
    "restore": "restore",
    "doctor": "doctor",
    "secret": "secret",
}
"""Command → module in deploy.commands, in the order `weir --help` lists them."""


class Subjects(click.Group):
    """Finds a subject's command in its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return [*SUBJECTS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one; None for an unknown name."""
        module = SUBJECTS.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        loaded = importlib.import_module(f"deploy.commands.{module}")
        command = getattr(loaded, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Subjects, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="weir")
@data_option
def weir() -> None:
    """Member-owned storage: counted to the byte, billed at cost, surplus returned."""
    os.umask(0o077)
    for sentence in misspelt_variables(os.environ):
        click.echo(f"weir: {sentence}", err=True)


def main() -> None:
    """Entry point of the `weir` script."""
    require_assertions()
    if isinstance(sys.stdout, io.TextIOWrapper):
        _be_heard(sys.stdout)
    sys.exit(run(sys.argv[1:]))


def _be_heard(out: io.TextIOWrapper) -> None:
    """Into a file or another program goes UTF-8 in every locale; a terminal shows a mark for what its own lacks."""
    if out.isatty():
        out.reconfigure(errors="replace")
    else:
        out.reconfigure(encoding="utf-8", errors=out.errors)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status. Never a traceback on the terminal."""
    try:
        weir.main(args=list(arguments), prog_name="weir", standalone_mode=False)
        sys.stdout.flush()
    except Refusal as refusal:
        click.echo(f"weir: {refusal}", err=True)
        return REFUSED
    except DamagedSegment as damage:
        click.echo(f"weir: {damaged_sentence(damage)}", err=True)
        return REFUSED
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us, e.g. `head`, has seen enough; and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  the outermost place: everything unexpected is kept in a file
        click.echo(f"weir: {_keep_trace(error)}", err=True)
        return FAILED
    return 0


def _keep_trace(error: Exception) -> str:
    """Write the trace into the data directory's log; one sentence that says where."""
    what = f"something unexpected went wrong ({type(error).__name__})"
    directory = Path(os.environ.get("WEIR_DATA", "data")).absolute() / "log"
    if not directory.is_dir():
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{what}: {error}, in {last.name} at {Path(last.filename).name}:{last.lineno}"
    path = directory / f"error-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    try:
        for old in sorted(directory.glob("error-*.txt"))[:-ERROR_FILES_MAX]:
            old.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{what}: {error}"
    return f"{what}; please report it with {path}"


if __name__ == "__main__":
    main()
