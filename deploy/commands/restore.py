"""weir restore: a whole co-op out of a backup, into an empty place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from deploy.backup.page import Page
from deploy.backup.place import opened
from deploy.backup.restoring import Asked, Restored, refuse_unless_empty
from deploy.backup.restoring import restore as put_back
from deploy.commands.audit import document as audit_document
from deploy.commands.backup import chosen, passphrase_option
from deploy.commands.options import data_option, json_option
from deploy.output import bytes_text, number_of, print_json, say
from deploy.progress import work_to
from deploy.settings import DeploySettings, read

DIFFERS = 1
"""Exit status when the restored co-op's audit finds a difference: the co-op is in its place all the same."""


@click.command()
@click.argument("place")
@click.argument("name", required=False)
@click.option(
    "--files-from",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory of members' files (engine/blobs of a copy), for a backup made --without-files.",
)
@passphrase_option
@json_option
@data_option
def restore(
    place: str, name: str | None, files_from: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Restore a backup in PLACE, the newest if none is named, into the empty directory that --data names.

    Every digest is compared before anything is written, and everything is audited before the co-op is in place.
    """
    settings = read(DeploySettings)
    refuse_unless_empty(settings.data.absolute())
    repository = opened(place, settings, passphrase_file=passphrase_file)
    page = chosen(repository, name)
    with work_to("restoring") as told:
        done = asyncio.run(put_back(repository, page, Asked(settings.data, files_from), told=told))
    differs = done.audit is None or done.audit.findings.total > 0
    if as_json:
        print_json(document(page, settings.data, done))
    else:
        _print(page, settings.data, done)
    if differs:
        raise SystemExit(DIFFERS)


def document(page: Page, data: Path, done: Restored) -> dict[str, object]:
    """For programs."""
    return {
        "name": page.name,
        "taken_us": page.taken_us,
        "data": str(data.absolute()),
        "files": page.files,
        "bytes": page.size_bytes,
        "notes": list(done.notes),
        "audit": None if done.audit is None else audit_document(done.audit),
    }


def _print(page: Page, data: Path, done: Restored) -> None:
    for note in done.notes:
        say(f"NOTE: {note}")
    if done.audit is not None:
        for one in done.audit.findings.named:
            say(f"DIFFERS  {one.kind.value}: {one.sentence}")
        total = done.audit.findings.total
        say(
            "the audit agrees"
            if not total
            else f"the audit finds {number_of(total, 'difference', 'differences')}"
        )
    say(
        f"restored {page.name} into {data.absolute()}: {number_of(page.files, 'file', 'files')} of {bytes_text(page.size_bytes)}; "
        "`weir up` starts it"
    )
