"""The founding papers onto the disk: Markdown, and PDF where typst is installed. Written again they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from billing.founding.answers import Answers
from billing.founding.papers import Place, papers
from billing.founding.pdf import sheet_pdf
from billing.founding.sheet import markdown
from billing.register import store as register_store
from billing.register.forms import LAW_OF_RULE_SET, form_of, register_document
from billing.rules.afterwards import afterwards
from billing.rules.book import rule_set
from billing.rules.founding import founding_rules, helpers
from billing.rules.voting import voting_rules
from billing.statements.pdf import IS_THERE
from billing.tongue import speaking
from deploy.desk import Desk
from deploy.found.keeping import Kept
from deploy.place import DataRefused, replace_file
from meter.refusal import Refusal
from meter.store import members

OWNER = None
"""Names and addresses are read by the register's owner alone."""


def place_of(identity: str) -> Place:
    """All that the program knows of a rule set."""
    return Place(
        rule_set(identity), founding_rules(identity), afterwards(identity), voting_rules(identity), helpers()
    )


async def write_papers(
    desk: Desk, answers: Answers, kept: Kept, directory: Path, *, resolution: str
) -> tuple[list[Path], list[str]]:
    """Write every paper into the directory, for the founders' eyes alone: where they are, and which has no PDF and why.

    The Markdown says all: a PDF that cannot be made stops no founding. Raises Refusal where nothing can be written.
    """
    document = await _register(desk, answers, at_us=kept.began_us)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataRefused(f"the papers' directory {directory} cannot be made: {error.strerror}") from None
    written, left_out = [], []
    for sheet in papers(answers, place_of(answers.rule_set), document, resolution=resolution):
        written.append(directory / f"{sheet.name}.md")
        replace_file(written[-1], markdown(sheet), mode=0o600)
        if not IS_THERE:
            continue
        try:
            content = sheet_pdf(sheet, dated_us=kept.began_us)
        except Refusal as refusal:
            left_out.append(f"{sheet.name} is written as Markdown alone: {refusal}")
            continue
        written.append(directory / f"{sheet.name}.pdf")
        replace_file(written[-1], content, mode=0o600)
    return written, left_out


async def _register(desk: Desk, answers: Answers, *, at_us: int) -> Mapping[str, Any]:
    async with (
        desk.connected(OWNER) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        read = (
            await register_store.operations(connection),
            await register_store.share_kinds(connection),
            await register_store.particulars(connection, at_us=at_us),
            {one.id: one.name for one in await members(connection)},
        )
    with speaking(answers.language):
        return register_document(
            form_of(LAW_OF_RULE_SET.get(answers.rule_set, "plain")), *read, {}, at_us=at_us
        )
