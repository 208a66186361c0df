"""Tags of objects and buckets: read from XML, a header or the directory, checked, and written. Pure.

S3's rules: at most ten on an object and fifty on a bucket; letters, digits, spaces and + - = . _ : / @.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.markup import document, element
from gateway.tree import malformed, parse_tree

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
TAG_KEY_MAX = 128
"""In characters, as the value; S3's own limits, so constants."""
TAG_VALUE_MAX = 256
TAGGING_HEADER = "x-amz-tagging"
_SIGNS = frozenset("+-=._:/@")


def parse_tagging(body: bytes, *, tags_max: int) -> dict[str, str]:
    """The tags of a Tagging document, in its order. Raises MalformedXML, InvalidTag, BadRequest."""
    root = parse_tree(body, "Tagging")
    root.holds_only("TagSet")
    tag_set = root.child("TagSet")
    if tag_set is None:
        raise malformed()
    tag_set.holds_only("Tag")
    pairs = []
    for tag in tag_set.children:
        tag.holds_only("Key", "Value")
        key, value = tag.one("Key"), tag.one("Value")
        if key is None or value is None:
            raise malformed()
        pairs.append((key, value))
    return _checked(pairs, tags_max=tags_max)


def parse_tagging_header(text: str | None) -> dict[str, str]:
    """The tags of x-amz-tagging, encoded like a query. Raises InvalidArgument, InvalidTag, BadRequest."""
    if not text:
        return {}
    pairs = []
    for pair in text.split("&"):
        raw_key, _, raw_value = pair.partition("=")
        try:
            key, value = (unquote_plus(raw, errors="strict") for raw in (raw_key, raw_value))
        except UnicodeError:
            raise _bad_header(text) from None
        pairs.append((key, value))
    if len(dict(pairs)) != len(pairs):
        raise _bad_header(text)
    return _checked(pairs, tags_max=OBJECT_TAGS_MAX)


def tags_of_write(headers: Mapping[str, str]) -> dict[str, str]:
    """The tags a new object is given by its request."""
    return parse_tagging_header(headers.get(TAGGING_HEADER))


def tagging_document(tags: Mapping[str, str]) -> bytes:
    """The Tagging document."""
    lines = "".join(
        f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items()
    )
    return document("Tagging", f"<TagSet>{lines}</TagSet>")


def dump_tags(tags: Mapping[str, str]) -> str:
    """A bucket's tags as the directory keeps them."""
    return json.dumps(dict(tags), ensure_ascii=False)


@lru_cache(maxsize=256)
def load_tags(kept: str) -> Mapping[str, str]:
    """What dump_tags wrote; nobody writes into it."""
    tags: dict[str, str] = json.loads(kept)
    return tags


def _checked(pairs: Iterable[tuple[str, str]], *, tags_max: int) -> dict[str, str]:
    tags: dict[str, str] = {}
    count = 0
    for key, value in pairs:
        count += 1
        _check(key, value)
        if key in tags:
            raise s3_error("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=key)
        tags[key] = value
    if count > tags_max:
        whose = "Object" if tags_max == OBJECT_TAGS_MAX else "Bucket"
        raise s3_error("BadRequest", f"{whose} tags cannot be greater than {tags_max}")
    return tags


def _check(key: str, value: str) -> None:
    if not 1 <= len(key) <= TAG_KEY_MAX or not _is_plain(key):
        raise s3_error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key[:TAG_KEY_MAX])
    if key.lower().startswith("aws:"):
        raise s3_error("InvalidTag", "System tags cannot be added/updated by requester", TagKey=key)
    if len(value) > TAG_VALUE_MAX or not _is_plain(value):
        raise s3_error(
            "InvalidTag",
            "The TagValue you have provided is invalid",
            TagKey=key,
            TagValue=value[:TAG_VALUE_MAX],
        )


def _is_plain(text: str) -> bool:
    """Letters, separators and numbers of Unicode, and a few signs."""
    return all(sign in _SIGNS or unicodedata.category(sign)[0] in "LZN" for sign in text)


def _bad_header(text: str) -> S3Error:
    return invalid_argument(
        TAGGING_HEADER,
        text,
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
        "without tag name duplicates.",
    )
