"""Text inside the XML we write, and names inside URLs we print.

It knows which characters XML 1.0 allows and what S3 leaves unencoded; it knows no document.
"""

from __future__ import annotations

import re
from urllib.parse import quote

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# XML 1.0, section 2.2: what a document may not hold, not even as a numeric reference.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENCODED = re.compile("[%+\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL = re.compile('[&<>"\t\n\r\x00-\x1f\ud800-\udfff\ufffe\uffff]')

# White space is written as references: a parser may fold the raw characters (XML 1.0, 2.11 and 3.3.3).
_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


def is_writable(text: str) -> bool:
    """Whether XML 1.0 can hold every character of the text."""
    return _FORBIDDEN.search(text) is None


def is_plain(text: str) -> bool:
    """Whether escape() would change nothing."""
    return _SPECIAL.search(text) is None


def escape(text: str) -> str:
    """Text as XML character data; what XML 1.0 forbids stands percent-encoded, so it stays well-formed.

    A listing that must not lose such a character uses url_encode_least for its page instead.
    """
    return text if is_plain(text) else _SPECIAL.sub(_replace, text)


def url_encode(text: str) -> str:
    """encoding-type=url: UTF-8, everything but unreserved characters and '/' as %XX; a space is %20."""
    return quote(text, safe="/-_.~", errors="surrogatepass")


def url_encode_least(text: str) -> str:
    """Text that url-decodes to the same as url_encode() does, and otherwise stands as it is, escaped.

    For who did not ask for encoding, and may not decode: only what XML forbids, '%' and '+' look another way.
    """
    return escape(_ENCODED.sub(_percent, text))


def _percent(match: re.Match[str]) -> str:
    return quote(match[0], safe="", errors="surrogatepass")


def element(name: str, text: str) -> str:
    """<name>text</name>, escaped."""
    return f"<{name}>{escape(text)}</{name}>"


def document(name: str, inner: str) -> bytes:
    """A whole document with its root in S3's namespace; inner is markup already."""
    return f'{DECLARATION}<{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()


def _replace(match: re.Match[str]) -> str:
    character = match[0]
    return _ENTITIES.get(character) or quote(character, safe="", errors="surrogatepass")
