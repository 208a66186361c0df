"""Access lists: who was given READ, WRITE and the rest of a bucket or an object. Pure.

It knows the three ways a list is sent (canned, headers, a document) and the one way it is kept. The owner may do
everything whether the list says so or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.listing import owner_id
from meter.ids import MemberId

GRANTS_MAX = 100
"""S3's own limit."""
EVERYBODY = "*"
"""Everybody, also who did not sign."""
MEMBERS = "members"
"""Everybody who signed."""
URIS = {
    "http://acs.amazonaws.com/groups/global/AllUsers": EVERYBODY,
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": MEMBERS,
}


class Permission(StrEnum):
    """What can be given; kept in the directory and with objects, so never renamed."""

    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One line of a list."""

    grantee: str
    """EVERYBODY, MEMBERS, or a member's owner id."""
    permission: Permission


@dataclass(frozen=True, slots=True)
class AccessList:
    """A whole list."""

    grants: tuple[Grant, ...]

    @property
    def is_public(self) -> bool:
        """Whether it gives anything to people nobody named."""
        return any(one.grantee in (EVERYBODY, MEMBERS) for one in self.grants)

    def allows(self, permission: Permission, member: MemberId | None, *, ignore_public: bool) -> bool:
        """Whether it gives the permission to this member; None did not sign."""
        given = set() if ignore_public else {EVERYBODY}
        if member is not None:
            given |= {owner_id(member)} if ignore_public else {owner_id(member), MEMBERS}
        return any(
            one.grantee in given and one.permission in (permission, Permission.FULL_CONTROL)
            for one in self.grants
        )


def private(owner: MemberId) -> AccessList:
    """The list of whatever nobody set one on."""
    return AccessList((Grant(owner_id(owner), Permission.FULL_CONTROL),))


def render(access: AccessList, owner: MemberId) -> str:
    """The list as it is kept; empty for a private one."""
    if access == private(owner):
        return ""
    return json.dumps([[one.grantee, one.permission.value] for one in access.grants], separators=(",", ":"))


@lru_cache(maxsize=4096)
def parse(text: str, owner: MemberId) -> AccessList:
    """What render wrote."""
    if not text:
        return private(owner)
    return AccessList(
        tuple(Grant(grantee, Permission(permission)) for grantee, permission in json.loads(text))
    )


_CANNED = {
    "private": (),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "public-read": (Grant(EVERYBODY, Permission.READ),),
    "public-read-write": (Grant(EVERYBODY, Permission.READ), Grant(EVERYBODY, Permission.WRITE)),
    "authenticated-read": (Grant(MEMBERS, Permission.READ),),
}
# They give rights to accounts of a cloud that is not here.
_ELSEWHERE = frozenset(("aws-exec-read", "log-delivery-write"))
_GRANT_HEADERS = {
    "x-amz-grant-read": Permission.READ,
    "x-amz-grant-write": Permission.WRITE,
    "x-amz-grant-read-acp": Permission.READ_ACP,
    "x-amz-grant-write-acp": Permission.WRITE_ACP,
    "x-amz-grant-full-control": Permission.FULL_CONTROL,
}
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]*))\s*')


def has_list(headers: Mapping[str, str]) -> bool:
    """Whether the headers bring a list."""
    return "x-amz-acl" in headers or not headers.keys().isdisjoint(_GRANT_HEADERS)


def of_headers(headers: Mapping[str, str], owner: MemberId) -> AccessList:
    """The list that x-amz-acl or x-amz-grant-* ask for; private when none does.

    Raises InvalidRequest for both at once, InvalidArgument, NotImplemented for who cannot be named here.
    """
    canned = headers.get("x-amz-acl")
    named = [(name, permission) for name, permission in _GRANT_HEADERS.items() if name in headers]
    if canned is not None and named:
        raise s3_error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if canned is not None:
        return _canned(canned, owner)
    if not named:
        return private(owner)
    return _access_list(
        Grant(grantee, permission) for name, permission in named for grantee in _grantees(name, headers[name])
    )


def _canned(name: str, owner: MemberId) -> AccessList:
    if name in _ELSEWHERE:
        raise s3_error("NotImplemented", Header="x-amz-acl", Value=name)
    if name not in _CANNED:
        raise invalid_argument("x-amz-acl", name, "This canned ACL does not exist.")
    return _access_list((*private(owner).grants, *_CANNED[name]))


def _grantees(header: str, text: str) -> Iterable[str]:
    place = 0
    while place <= len(text):
        match = _GRANTEE.match(text, place)
        if match is None or text[match.end() : match.end() + 1] not in ("", ","):
            raise invalid_argument(header, text, "Argument format not recognized")
        yield _grantee(match[1], match[2] if match[2] is not None else match[3])
        place = match.end() + 1


def _grantee(kind: str, value: str) -> str:
    match kind:
        case "id":
            return canonical_user(value)
        case "uri":
            return group(value)
        case _:
            raise unresolvable()


def canonical_user(value: str) -> str:
    """A member's owner id. Raises InvalidArgument."""
    if re.fullmatch(r"[0-9]{12}", value) is None:
        raise invalid_argument("CanonicalUser/ID", value, "Invalid id")
    return value


def group(uri: str) -> str:
    """EVERYBODY or MEMBERS. Raises InvalidArgument."""
    if uri not in URIS:
        raise invalid_argument("Group/URI", uri, "Invalid group uri")
    return URIS[uri]


def unresolvable() -> S3Error:
    """Members are not named by address here."""
    return s3_error("NotImplemented", "Grants to an e-mail address are not implemented.")


def from_document(owner_named: str, grants: Iterable[Grant], owner: MemberId) -> AccessList:
    """The list of an AccessControlPolicy document, which must name the true owner. Raises AccessDenied."""
    if owner_named != owner_id(owner):
        raise s3_error("AccessDenied")
    return _access_list(grants)


def _access_list(grants: Iterable[Grant]) -> AccessList:
    unique = tuple(dict.fromkeys(grants))
    if len(unique) > GRANTS_MAX:
        raise s3_error("MalformedACLError", f"A list holds {GRANTS_MAX} grants at most.")
    return AccessList(unique)
