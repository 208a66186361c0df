"""What a request asks an upstream to be able to. Pure.

Some systems pass over what they do not know: a tagging document then becomes the object, a condition is not asked, a
version that was named is not the one that is deleted. So it is found here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.locks import HOLD_HEADER, MODE_HEADER, UNTIL_HEADER
from gateway.storage.abilities import Ability
from gateway.tags import TAGGING_HEADER

_LOCK_HEADERS = (MODE_HEADER, UNTIL_HEADER, HOLD_HEADER, "x-amz-bucket-object-lock-enabled")
_OF_QUERY = {
    "tagging": Ability.TAGGING,
    "versions": Ability.VERSIONING,
    "versionId": Ability.VERSIONING,
    "object-lock": Ability.OBJECT_LOCK,
    "retention": Ability.OBJECT_LOCK,
    "legal-hold": Ability.OBJECT_LOCK,
}
_CONDITIONS = ("if-match", "if-none-match")
_READS = ("GET", "HEAD")


def needs(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Ability]:
    """The abilities without which the request would mean something else. Header names are in lower case.

    A condition of a read needs none: what comes is compared with what was wanted. Nor does asking whether a bucket
    keeps versions: all say no who cannot.
    """
    for name in query:
        if name in _OF_QUERY:
            yield _OF_QUERY[name]
        elif name == "versioning" and method not in _READS:
            yield Ability.VERSIONING
    if not headers:
        return
    if TAGGING_HEADER in headers:
        yield Ability.TAGGING
    if any(name in headers for name in _LOCK_HEADERS):
        yield Ability.OBJECT_LOCK
    if method not in _READS and any(name in headers for name in _CONDITIONS):
        yield Ability.CONDITIONAL_DELETE if method == "DELETE" else Ability.CONDITIONAL_PUT
