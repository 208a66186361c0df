"""weir demo: a real co-op in a minute, in a temporary place."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from billing.money import format_amount
from deploy.children import PACKAGE_ROOT
from deploy.demo.story import Outcome, play
from deploy.desk import Desk, opened
from deploy.output import bytes_text, console, print_json, print_table, say
from deploy.privilege import launched
from meter.refusal import Refusal

READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 180
POLL_S = 0.05
DISAGREES = 1


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C.")
@click.option("--seconds", type=click.IntRange(1, 3600), default=20, show_default=True, help="Of traffic.")
@click.option("--seed", type=int, help="Repeat the same choices; a fresh seed is printed otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys.")
def demo(keep: bool, seconds: int, seed: int | None, as_json: bool) -> None:
    """Five members, real S3 clients, a month's invoices, trial closings of month and year, and sums that agree."""
    if importlib.util.find_spec("boto3") is None:
        raise Refusal("the demo drives a real S3 client, boto3; install it with `pip install 'weir[demo]'`")
    chosen = secrets.randbelow(10**6) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="weir-demo-") as name, _running(Path(name)) as ready:
        outcome = asyncio.run(_play(seconds=seconds, seed=chosen, quiet=as_json))
        if as_json:
            print_json(document(outcome, ready, seed=chosen))
        else:
            show(outcome, seed=chosen)
        if keep:
            _wait_for_interrupt(as_json=as_json)
    if not outcome.agree:
        raise SystemExit(DISAGREES)


@contextmanager
def _running(place: Path) -> Iterator[Mapping[str, object]]:
    """A real `weir up` for the time of the block; what its ready file says. Raises Refusal."""
    data, ready = place / "data", place / "ready.json"
    os.environ["WEIR_DATA"] = str(data)
    for name in ("WEIR_DATABASE_URL", "WEIR_CONFIG", "WEIR_GATEWAY_URL", "WEIR_PORTAL_URL"):
        # The demo is a place of its own and must never touch a real co-op's database.
        os.environ.pop(name, None)
    line = [sys.executable, "-P", "-m", "deploy", "up", "--data", str(data), "--ready-file", str(ready)]
    line += ["--gateway-port", "0", "--portal-port", "0", "--admin-port", "0"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")])),
    }
    with (place / "up.log").open("wb") as log:
        process = subprocess.Popen(
            launched(line, death_signal=signal.SIGKILL),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield _wait_until_ready(process, ready, place / "up.log")
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> Mapping[str, object]:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text("utf-8", "replace").strip().splitlines()
            raise Refusal(f"the demo's Weir did not start: {lines[-1] if lines else 'it said nothing'}")
        time.sleep(POLL_S)
    told: Mapping[str, object] = json.loads(ready.read_text("utf-8"))
    return told


async def _play(*, seconds: int, seed: int, quiet: bool) -> Outcome:
    async with opened() as desk:
        if quiet:
            return await play(desk, seconds=seconds, seed=seed, progress=lambda _: None)
        return await _play_with_bar(desk, seconds=seconds, seed=seed)


async def _play_with_bar(desk: Desk, *, seconds: int, seed: int) -> Outcome:
    bar = Progress(
        TextColumn("five members at work"),
        BarColumn(),
        TextColumn("{task.fields[moved]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )
    with bar:
        task: TaskID = bar.add_task("traffic", total=seconds, moved="")

        def progress(told: Mapping[str, object]) -> None:
            moved = f"{told['exchanges']} exchanges, {bytes_text(int(str(told['bytes'])))}"
            bar.update(task, completed=seconds - float(str(told["left_s"])), moved=moved)

        return await play(desk, seconds=seconds, seed=seed, progress=progress)


def document(outcome: Outcome, ready: Mapping[str, object], *, seed: int) -> dict[str, object]:
    """The outcome as JSON."""
    return {
        "seed": seed,
        "gateway_url": ready["gateway_url"],
        "portal_url": ready["portal_url"],
        "currency": outcome.closing.currency,
        "exchanges": outcome.exchanges,
        "cut_downloads": outcome.cuts,
        "members": [
            {
                "name": line.name,
                "class": line.member_class,
                "bytes_in": line.bytes_in,
                "bytes_out": line.bytes_out,
                "requests": line.requests,
                "charged_minor": line.charged_minor,
                "share_minor": line.share_minor,
                "login_link": line.login_link,
            }
            for line in outcome.members
        ],
        "sums": [
            {"name": told.name, "left": told.left, "right": told.right, "agree": told.agree}
            for told in outcome.sums
        ],
        "agree": outcome.agree,
    }


def show(outcome: Outcome, *, seed: int) -> None:
    """The outcome for people."""

    def amount(minor: int) -> str:
        return format_amount(minor, outcome.closing.currency)

    say(f"\n{outcome.exchanges:,} exchanges and {outcome.cuts} cut downloads, seed {seed}\n")
    numbers = ("sent in", "got out", "requests", "charged at cost", "share of the year")
    print_table(
        ("member", "class", *numbers),
        [
            (
                line.name,
                line.member_class,
                bytes_text(line.bytes_in),
                bytes_text(line.bytes_out),
                line.requests,
                amount(line.charged_minor),
                amount(line.share_minor),
            )
            for line in outcome.members
        ],
        numbers=numbers,
    )
    say("\nInvoices of the month, invented:")
    print_table(
        ("pool", "amount"),
        [(pool, amount(minor)) for pool, minor in outcome.closing.costs.items()],
        numbers=("amount",),
    )
    say("\nThe sums:")
    print_table(
        ("", "sum", "one way", "the other way"),
        [("agrees" if told.agree else "DIFFERS", told.name, told.left, told.right) for told in outcome.sums],
    )
    say("\nThe portal, one link for each member, each works once:")
    for line in outcome.members:
        say(f"  {line.name:<9} {line.login_link}")
    if not outcome.agree:
        console().print(Text("Some sums differ. That must never be; please report it.", style="bold red"))


def _wait_for_interrupt(*, as_json: bool) -> None:
    if not as_json:
        data = os.environ["WEIR_DATA"]
        say(f"\nLook around, for example: weir statement bakery YYYY-MM --data {data}")
        say("It runs until Ctrl-C; then it and its data are gone.")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
