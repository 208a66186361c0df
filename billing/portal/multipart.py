"""Forms that carry a file, read part by part within bounds. It does not know who sends them, nor what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

from billing.voting.proposal import BODY_CHARACTERS_MAX, too_large
from meter.refusal import Refusal

TYPED: web.RequestKey[dict[str, str]] = web.RequestKey("typed", dict)
"""Under which a request keeps the texts of its form, as far as it was read."""
FIELD_BYTES_MAX = BODY_CHARACTERS_MAX * 4
TEXTS_BYTES_MAX = 2 * FIELD_BYTES_MAX
PARTS_MAX = 12
CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class Form:
    """What a form with a file said."""

    texts: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    refusal: Refusal | None = None
    """Why its file is not taken; the texts before it are there."""


async def read_form(request: web.Request, *, file_bytes_max: int) -> Form:
    """A form with at most one file. Raises Refusal for a text that is larger than it may be, and for more than a form has."""
    if request.content_type != "multipart/form-data":
        raise Refusal("this form is sent as multipart/form-data")
    form = Form()
    request[TYPED] = form.texts
    try:
        await _read(request, form, file_bytes_max)
    except (ValueError, AssertionError):
        raise Refusal("this form cannot be read; send it again from the portal's page") from None
    return form


async def _read(request: web.Request, form: Form, file_bytes_max: int) -> None:
    parts = 0
    async for part in await request.multipart():
        parts += 1
        if not isinstance(part, BodyPartReader) or parts > PARTS_MAX or form.files:
            raise Refusal("this form has more in it than the page asks for")
        if part.filename:
            content = await _bounded(part, file_bytes_max)
            if content is None:
                form.refusal = too_large(file_bytes_max)
                return
            form.files.append((part.filename, content))
        else:
            name, bytes_max = part.name or "text", FIELD_BYTES_MAX
            text = await _bounded(part, bytes_max)
            if text is None:
                raise Refusal(f"{name[:40]}: more than {bytes_max} bytes")
            if part.name and not part.name.startswith("file"):
                form.texts[part.name] = text.decode("utf-8")


async def texts_of(request: web.Request) -> dict[str, str]:
    """The texts of a form up to its first file, as far as they can be read within the bounds; its files are left."""
    found: dict[str, str] = {}
    left = TEXTS_BYTES_MAX
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename or len(found) == PARTS_MAX:
                break
            text = await _bounded(part, min(left, FIELD_BYTES_MAX))
            if text is None:
                break
            left -= len(text)
            found[part.name or ""] = text.decode("utf-8", "replace")
    except (ValueError, AssertionError):
        return found  # What came before the part that is none is still theirs.
    return found


async def _bounded(part: BodyPartReader, bytes_max: int) -> bytes | None:
    """The part's content; None where it is larger."""
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        content += chunk
        if len(content) > bytes_max:
            return None
    return bytes(content)
