"""weir heads: the signed pages of each day, shown, taken elsewhere, and proved without us."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from deploy.settings import DeploySettings, read
from meter import heads as pages
from meter import heads_store
from meter.daily import file_name
from meter.heads import BadHead, Signed, from_file
from meter.refusal import Refusal
from meter.signing import known_public

WRONG = 1
"""Exit status when a page is not what it should be."""


@click.group()
def heads() -> None:
    """Signed pages that say, once a day and at each closing, how far every stream had come."""


@heads.command("list")
@json_option
@data_option
def list_heads(as_json: bool) -> None:
    """All heads, the newest last."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_meter") as connection:
            return [_row(kept) for kept in await heads_store.heads(connection)]

    rows = at_desk(work)
    if as_json:
        print_json(rows)
        return
    columns = ("number", "day", "closes", "made", "streams", "records", "key")
    print_table(
        columns, [[row[name] for name in columns] for row in rows], numbers=("number", "streams", "records")
    )


def _row(kept: heads_store.Kept) -> dict[str, object]:
    head = pages.read(kept.page)
    return {
        "number": head.number,
        "day": head.day,
        "closes": None if kept.month is None else str(kept.month),
        "made": instant_text(head.made_us),
        "streams": len(head.tips),
        "records": sum(tip.last_sequence for tip in head.tips),
        "digest": kept.page.digest,
        "key": head.key,
    }


@heads.command("export")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--from", "first", type=click.IntRange(min=1), default=1, help="Number of the first one.")
@data_option
def export(directory: Path, first: int) -> None:
    """Write the heads into DIRECTORY, a file each, to be kept elsewhere or published."""

    async def work(desk: Desk) -> list[heads_store.Kept]:
        async with desk.connected("weir_meter") as connection:
            return await heads_store.heads(connection, after=first - 1)

    found = at_desk(work)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kept in found:
            path = directory / file_name(kept.number, kept.day.isoformat())
            path.write_text(kept.page.to_file(), "utf-8")
    except OSError as error:
        raise Refusal(f"{directory} cannot be written: {error.strerror}") from None
    say(
        f"{len(found)} heads in {directory}; the public key is {found[-1].public_key if found else 'not used yet'}"
    )


@heads.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--key", "keys", multiple=True, metavar="HEX",
    help="Public key you vouch for; that of the data directory if not given. May be repeated.",
)  # fmt: skip
@json_option
@data_option
def verify(files: tuple[Path, ...], keys: tuple[str, ...], as_json: bool) -> None:
    """Prove FILES: signatures, and that each continues the one before. Needs no database."""
    trusted = keys or tuple(key for key in (known_public(read(DeploySettings).data),) if key)
    if not trusted:
        raise Refusal("name the public key with --key; `weir status` and the portal show it")
    signed = sorted((_read(path) for path in files), key=_number)
    wrong = pages.check(signed, trusted=trusted)
    if as_json:
        print_json({"heads": len(signed), "agrees": not wrong, "keys": list(trusted), "differences": wrong})
    elif wrong:
        for line in wrong:
            say(line)
    else:
        say(
            f"{len(signed)} heads, {_number(signed[0])} to {_number(signed[-1])}: signed, and each continues the one before"
        )
    if wrong:
        raise SystemExit(WRONG)


def _read(path: Path) -> Signed:
    try:
        return from_file(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be read: {error}") from None
    except BadHead as error:
        raise Refusal(f"{path}: {error}") from None


def _number(signed: Signed) -> int:
    try:
        return pages.read(signed).number
    except BadHead:
        return 0
