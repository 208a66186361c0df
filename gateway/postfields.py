"""What the fields of an upload form mean: the object's key, its headers, and how the browser is answered. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from gateway.errors import invalid_argument
from gateway.markup import DECLARATION, element
from gateway.names import check_key
from gateway.postform import Form
from gateway.tags import OBJECT_TAGS_MAX, TAGGING_HEADER, parse_tagging

FILENAME = "${filename}"
STATUS_FIELD = "success_action_status"
REDIRECT_FIELDS = ("success_action_redirect", "redirect")
_HEADER_FIELDS = frozenset(
    (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    )
)
_HEADER_PREFIXES = (
    "x-amz-meta-",
    "x-amz-checksum-",
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
)
_STATUSES = {"200": 200, "201": 201, "204": 204}
_URL = re.compile(r"[\x21-\x7e\u00a0-\uffff]+")


def object_key(form: Form) -> str:
    """The key the form asks for, the file's name put in its place. Raises InvalidArgument, KeyTooLongError."""
    template = form.fields.get("key")
    if template is None:
        raise invalid_argument(
            "key",
            "",
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
        )
    key = template.replace(FILENAME, form.filename)
    if not key:
        raise invalid_argument("key", "", "User key must have a length greater than 0.")
    if "\x00" in key:
        raise invalid_argument("key", "", "A key cannot hold a NUL character.")
    check_key(key)
    return key


def object_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers a PUT of the same object would have. Other fields are no headers, whatever their name.

    Raises MalformedXML, InvalidTag, BadRequest for tags, InvalidArgument for a value no header can hold.
    """
    headers = {
        name: value
        for name, value in fields.items()
        if name in _HEADER_FIELDS or name.startswith(_HEADER_PREFIXES)
    }
    if "acl" in fields:
        headers["x-amz-acl"] = fields["acl"]
    if "tagging" in fields:
        tags = parse_tagging(fields["tagging"].encode(), tags_max=OBJECT_TAGS_MAX)
        headers[TAGGING_HEADER] = urlencode(tags)
    for name, value in headers.items():
        if any(not (character >= " " and character != "\x7f") for character in value):
            raise invalid_argument(
                name, "", "A form field that becomes a header cannot hold control characters."
            )
    return headers


def success_status(fields: Mapping[str, str]) -> int:
    """200, 201 or 204; anything else is 204, as S3 has it."""
    return _STATUSES.get(fields.get(STATUS_FIELD, ""), 204)


def success_redirect(fields: Mapping[str, str], *, bucket: str, key: str, etag: str) -> str | None:
    """Where the browser goes on, told what was stored; None where the form names no http(s) address.

    S3 acts as if a field that is no URL were not there. Nothing of it can break a header's line.
    """
    url = next((fields[name] for name in REDIRECT_FIELDS if fields.get(name)), "")
    if _URL.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
    except ValueError:
        return None
    stored = urlencode({"bucket": bucket, "key": key, "etag": etag}, quote_via=quote, safe="")
    query = f"{parts.query}&{stored}" if parts.query else stored
    return quote(parts._replace(query=query).geturl(), safe="!#$%&'()*+,/:;=?@[]~")


def post_result(*, location: str, bucket: str, key: str, etag: str) -> bytes:
    """PostResponse, which S3 writes without a namespace."""
    inner = (
        element("Location", location)
        + element("Bucket", bucket)
        + element("Key", key)
        + element("ETag", etag)
    )
    return f"{DECLARATION}<PostResponse>{inner}</PostResponse>".encode()
