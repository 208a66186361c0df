"""weir backup: everything Weir keeps on this machine, sealed, into a place of its own; listed, verified, pruned."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.backup.last import remember
from deploy.backup.page import Page
from deploy.backup.place import opened
from deploy.backup.repository import Repository
from deploy.backup.taking import take as take_backup
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.instants import instant_text
from deploy.output import bytes_text, number_of, print_json, print_table, say
from deploy.place import check_owner, is_founded
from deploy.progress import work_to
from deploy.settings import DeploySettings, read
from meter.refusal import Refusal

INCOMPLETE = 1
"""Exit status when something was damaged already where the backup was taken; the backup has all the rest."""
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File whose first line seals and opens the backups; else the setting backup_passphrase_file.",
)


class PlaceFirst(click.Group):
    """`weir backup PLACE` is `weir backup take PLACE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the word in where it was left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["take", *args]
        return super().parse_args(ctx, args)


@click.group(cls=PlaceFirst)
def backup() -> None:
    """Backups in PLACE, a directory or s3://BUCKET/PREFIX: `weir backup PLACE` makes one, beside traffic."""


@backup.command("take")
@click.argument("place")
@click.option(
    "--without-files",
    is_flag=True,
    help="Of members' objects above inline_bytes_max take only the inventory: you copy engine/blobs by other means.",
)
@passphrase_option
@json_option
@data_option
def take(place: str, without_files: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a backup of this machine; only what is new is copied."""

    async def work(desk: Desk) -> Page:
        # Only here, where the data directory is known to be ours: a place made by another user shuts the next one out.
        repository = opened(place, desk.deploy, passphrase_file=passphrase_file, create=True)
        with work_to("backing up") as told:
            page = await take_backup(desk, repository, with_files=not without_files, told=told)
        remember(desk.data, repository.target.describe(), page)
        return page

    page = at_desk(work, migrating=False)
    if as_json:
        print_json(document(page))
    else:
        say(
            f"backup {page.name}: {number_of(page.files, 'file', 'files')} of {bytes_text(page.size_bytes)}, new of it "
            f"{bytes_text(page.new_bytes)}"
        )
        for sentence in page.damaged:
            say(f"DAMAGED here already: {sentence}")
    if page.damaged:
        raise SystemExit(INCOMPLETE)


@backup.command("list")
@click.argument("place")
@passphrase_option
@json_option
@data_option
def list_them(place: str, passphrase_file: Path | None, as_json: bool) -> None:
    """Whole backups in PLACE, the oldest first."""
    repository = opened(place, read(DeploySettings), passphrase_file=passphrase_file)
    pages = [repository.page(name) for name in repository.names()]
    if as_json:
        print_json([document(page) for page in pages])
        return
    columns = ("backup", "shows", "files", "bytes", "new bytes", "damaged")
    rows = [
        (
            page.name,
            instant_text(page.taken_us),
            page.files,
            page.size_bytes,
            page.new_bytes,
            len(page.damaged),
        )
        for page in pages
    ]
    print_table(columns, rows, numbers=columns[2:])


@backup.command("verify")
@click.argument("place")
@click.argument("name", required=False)
@passphrase_option
@json_option
@data_option
def verify(place: str, name: str | None, passphrase_file: Path | None, as_json: bool) -> None:
    """Open every piece of a backup, the newest if none is named, and compare every digest."""
    repository = opened(place, read(DeploySettings), passphrase_file=passphrase_file)
    page = chosen(repository, name)
    with work_to("verifying") as told:
        files = repository.check(page, lambda done: told(done, page.size_bytes))
    if as_json:
        print_json({"name": page.name, "files": files, "bytes": page.size_bytes, "whole": True})
    else:
        say(
            f"backup {page.name} is whole: {number_of(files, 'file', 'files')} of {bytes_text(page.size_bytes)}"
        )


@backup.command("prune")
@click.argument("place")
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many of the newest stay.")
@passphrase_option
@json_option
@data_option
def prune(place: str, keep: int, passphrase_file: Path | None, as_json: bool) -> None:
    """Let all but the newest backups go, and whatever only they needed."""
    settings = read(DeploySettings)
    if is_founded(data := settings.data.absolute()):
        check_owner(data)
    repository = opened(place, settings, passphrase_file=passphrase_file)
    with repository.target.alone():
        gone, pieces = repository.prune(keep=keep)
    if as_json:
        print_json({"removed": gone, "pieces_removed": pieces, "kept": repository.names()})
    else:
        say(f"{len(gone):,} backups and {pieces:,} pieces removed; {len(repository.names()):,} backups stay")


def chosen(repository: Repository, name: str | None) -> Page:
    """The backup of that name, else the newest. Raises Refusal."""
    names = repository.names()
    if not name and not names:
        raise Refusal(f"there is no whole backup in {repository.target.describe()}")
    return repository.page(name or names[-1])


def document(page: Page) -> dict[str, object]:
    """For programs."""
    return {
        "name": page.name,
        "taken_us": page.taken_us,
        "began_us": page.began_us,
        "ended_us": page.ended_us,
        "files": page.files,
        "bytes": page.size_bytes,
        "new_bytes": page.new_bytes,
        "with_files": page.with_files,
        "weir": page.weir,
        "damaged": list(page.damaged),
    }
