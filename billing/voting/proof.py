"""Every result that was ever counted, counted again: in its chain, against box, roll, discussion and papers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from billing.voting import store
from billing.voting.count import Ballot
from billing.voting.document import discussion_digest, recount
from billing.voting.run import find
from meter.postgres import Connection


async def verify(connection: Connection) -> list[str]:
    """What is wrong with the results there are, in sentences: each counted again, in its chain, against box and roll."""
    problems: list[str] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        previous = ""
        for place, stored in enumerate(await store.results(connection), 1):
            again = recount(stored.document)
            words = [*again.problems]
            if again.digest != stored.digest:
                words.append("its document is not that of its digest")
            if (again.document["place"], again.document["previous"]) != (place, previous):
                words.append("it does not name the result before it")
            words += await _against_the_tables(connection, stored.proposal, again.ballots, again.document)
            problems += [f"proposal {stored.proposal}: {one}" for one in words]
            previous = stored.digest
    return problems


async def _against_the_tables(
    connection: Connection, number: int, ballots: Sequence[Ballot], document: Mapping[str, Any]
) -> list[str]:
    poll = (await store.polls(connection, [number]))[number]
    words = []
    if tuple(await store.ballots(connection, number)) != tuple(ballots):
        words.append("the ballots in the box are not those that were counted")
    if [int(one) for one in await store.voted(connection, number)] != document["voted"]:
        words.append("who voted is not who is said to have voted")
    if document["poll_digest"] != poll.digest:
        words.append("its terms are not those it was opened with")
    comments = await store.comments(connection, number)
    if document["discussion"] != {"comments": len(comments), "digest": discussion_digest(comments)}:
        words.append("its discussion was changed")
    found, papers = await find(connection, number), await store.attachments(connection, number)
    opened = json.loads(poll.document)
    slate = found.wording.slate
    election = None if slate is None else (slate.seats, list(slate.options))
    own = opened.get("election")
    if (opened["title"], opened["text"], own and (own["seats"], own["options"])) != (
        found.wording.title, found.wording.body, election,
    ):  # fmt: skip
        words.append("its words are not those it was opened with")
    if [one["sha256"] for one in opened["attachments"]] != [one.sha256 for one in papers]:
        words.append("its papers are not those it was opened with")
    return words
