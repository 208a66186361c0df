"""The pages that say why not: what was wrong, what was typed, and the way back. It knows who asks from their request alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from billing.pages import render
from billing.portal.desk import PORTAL, VISITOR, came_from, html_page, keep_onward, maybe_visitor
from billing.portal.guard import SAFE_METHODS
from billing.portal.multipart import TEXTS_BYTES_MAX, TYPED, texts_of
from billing.portal.typed import shown
from billing.tongue import _, phrase
from meter.postgres import AWAY, NO_TEXT

log = logging.getLogger("billing.portal")


async def refused(
    request: web.Request, words: str, status: int, *, is_form_dead: bool = False
) -> web.Response:
    """The page that says why not, with the pages of whoever is known to be signed in, and what their form said.

    is_form_dead: to send it again is of no use, so the way on is the door.
    """
    visitor = request.get(VISITOR)
    context: dict[str, Any] = {
        "sentence": words, "visitor": visitor,
        "typed": [] if visitor is None else shown(request.path, await _texts(request)),
        "back": None if is_form_dead or request.method in SAFE_METHODS else await came_from(request),
        "to_door": is_form_dead and visitor is None,
    }  # fmt: skip
    return html_page(render("refused.html", **context), status=status)


def words_of(error: web.HTTPException) -> str:
    """What the server itself refuses, as a member reads it."""
    match error.status:
        case 404:
            return _("There is no such page.")
        case 405:
            return _("This address does nothing by itself. Use the portal’s own pages.")
        case 413:
            return _(
                "That is longer than this form takes, so nothing was done. Shorten it, then send it again."
            )
        case _other:
            return f"{phrase(error.reason)}."


async def signed_out(request: web.Request) -> web.Response:
    """The page for a form that came after its sender's session was over: nothing was done, and what was typed stands there."""
    texts = await _texts(request)
    back = await came_from(request)
    page = render("signed_out.html", visitor=None, typed=shown(request.path, texts))
    response = html_page(page, status=403)
    if back is not None:
        keep_onward(response, request.app[PORTAL], back)
    return response


async def look_up(request: web.Request) -> None:
    """Find out who is signed in and which language they chose, where no page has asked yet."""
    if VISITOR in request:
        return
    try:
        async with request.app[PORTAL].database() as connection:
            await maybe_visitor(request, connection)
    except AWAY as error:
        log.warning("the database does not answer: %s", type(error).__name__)


async def _texts(request: web.Request) -> Iterable[tuple[str, str]]:
    """What the form said, as text; nothing where it cannot be read."""
    if request.method in SAFE_METHODS:
        return []
    if TYPED in request:
        return request[TYPED].items()
    if request.content_type == "multipart/form-data":
        longest = TEXTS_BYTES_MAX + request.app[PORTAL].settings.proposal_attachment_bytes_max
        fits = request.content_length is not None and request.content_length <= longest
        return (await texts_of(request)).items() if fits and request.can_read_body else []
    try:
        return [(name, text) for name, text in (await request.post()).items() if isinstance(text, str)]
    except (web.HTTPRequestEntityTooLarge, ValueError, LookupError):
        return []  # It is too long to be read, or no text; the page says what was wrong without it.


async def is_garbage(request: web.Request, error: Exception) -> bool:
    """Whether an error came of what was sent: of no form that can be read, or of letters that are none. It is theirs then.

    The library's word for such a form is a ValueError, as of a fault of ours. So the form is read once more: what could be
    read is there then, and of parts that could not there are none.
    """
    if isinstance(error, NO_TEXT):
        return True
    if request.method in SAFE_METHODS or TYPED in request or not isinstance(error, ValueError | LookupError):
        return False
    try:
        return not await request.post() and request.content_type == "multipart/form-data"
    except (ValueError, LookupError):
        return True
