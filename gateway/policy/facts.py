"""What a policy may ask of a request: its condition keys and variables, each with where its value comes from. Pure.

It compares nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from gateway.call import Caller, Origin
from gateway.listing import iso_time, owner_id
from gateway.operation import Operation
from meter.proxies import client_address, is_proxy
from meter.window import MICROSECONDS

TAGS_MAX = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, by whom, and in which circumstances: all a right may depend on."""

    operation: Operation
    bucket_name: str
    """Empty where none is named."""
    key: str
    """Empty where the operation has none."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Looked up with lower-case names."""
    caller: Caller | None
    """None: nobody signed."""
    origin: Origin
    now_us: int
    proxies: str = ""
    """The setting trusted_proxies."""
    object_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the object that is there, once it was looked at."""


Fact = Callable[[Asked], tuple[str, ...] | None]


def is_fact(name: str) -> bool:
    """Whether a policy may ask for it; name in lower case."""
    return name in _FACTS or any(name.startswith(prefix) and name != prefix for prefix in _TAG_FACTS)


def fact(asked: Asked, name: str) -> tuple[str, ...] | None:
    """The request's values for a key in lower case; None where it has none."""
    find = _FACTS.get(name)
    if find is not None:
        return find(asked)
    for prefix, tags in _TAG_FACTS.items():
        if name.startswith(prefix):
            wanted = name.removeprefix(prefix)
            found = tuple(value for tag, value in tags(asked).items() if tag.lower() == wanted)
            return found or None
    return None


EXISTING_TAG = "s3:existingobjecttag/"
REQUEST_TAG = "s3:requestobjecttag"
"""Begins the names of tags that a request brings, and of their keys."""


def _request_tags(asked: Asked) -> dict[str, str]:
    text = asked.headers.get("x-amz-tagging", "")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=TAGS_MAX)) if _is_short(text) else {}


def _is_short(text: str) -> bool:
    return text.count("&") < TAGS_MAX


def _existing_tags(asked: Asked) -> Mapping[str, str]:
    return asked.object_tags


_TAG_FACTS: dict[str, Callable[[Asked], Mapping[str, str]]] = {
    EXISTING_TAG: _existing_tags,
    f"{REQUEST_TAG}/": _request_tags,
}


def _header(name: str) -> Fact:
    def find(asked: Asked) -> tuple[str, ...] | None:
        value = asked.headers.get(name)
        return None if value is None else (value,)

    return find


def _parameter(name: str) -> Fact:
    def find(asked: Asked) -> tuple[str, ...] | None:
        value = asked.query.get(name)
        return None if value is None else (value,)

    return find


def _caller(tell: Callable[[Caller], str]) -> Fact:
    def find(asked: Asked) -> tuple[str, ...] | None:
        return None if asked.caller is None else (tell(asked.caller),)

    return find


def _source_ip(asked: Asked) -> tuple[str, ...] | None:
    address = client_address(asked.origin.peer, asked.headers.get("x-forwarded-for", ""), asked.proxies)
    return (address,) if address else None


def _is_secure(asked: Asked) -> tuple[str, ...]:
    """Weir speaks plain HTTP, so only a proxy can know of TLS."""
    told = asked.headers.get("x-forwarded-proto", "").strip().lower()
    return ("true" if told == "https" and is_proxy(asked.origin.peer, asked.proxies) else "false",)


def _signature_age(asked: Asked) -> tuple[str, ...] | None:
    """Milliseconds since it was signed."""
    signed_us = asked.origin.signed_us
    return None if signed_us is None else (str((asked.now_us - signed_us) // 1000),)


def _authentication(asked: Asked) -> tuple[str, ...] | None:
    return (asked.origin.authentication,) if asked.origin.authentication else None


def _signature_version(asked: Asked) -> tuple[str, ...] | None:
    return ("AWS4-HMAC-SHA256",) if asked.origin.authentication else None


def _request_tag_keys(asked: Asked) -> tuple[str, ...] | None:
    return tuple(_request_tags(asked)) or None


_HEADERS = (
    "x-amz-acl", "x-amz-grant-read", "x-amz-grant-write", "x-amz-grant-read-acp", "x-amz-grant-write-acp",
    "x-amz-grant-full-control", "x-amz-copy-source", "x-amz-metadata-directive", "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class", "x-amz-content-sha256",
    "x-amz-website-redirect-location", "x-amz-object-ownership",
)  # fmt: skip

_FACTS: dict[str, Fact] = {
    "aws:sourceip": _source_ip,
    "aws:securetransport": _is_secure,
    "aws:referer": _header("referer"),
    "aws:useragent": _header("user-agent"),
    "aws:currenttime": lambda asked: (iso_time(asked.now_us),),
    "aws:epochtime": lambda asked: (str(asked.now_us // MICROSECONDS),),
    "aws:principaltype": lambda asked: ("Anonymous" if asked.caller is None else "User",),
    "aws:principalarn": _caller(
        lambda caller: f"arn:aws:iam::{owner_id(caller.member)}:user/{caller.member_name}"
    ),
    "aws:principalaccount": _caller(lambda caller: owner_id(caller.member)),
    "aws:userid": _caller(lambda caller: owner_id(caller.member)),
    "aws:username": _caller(lambda caller: caller.member_name),
    "s3:prefix": _parameter("prefix"),
    "s3:delimiter": _parameter("delimiter"),
    "s3:max-keys": _parameter("max-keys"),
    "s3:versionid": _parameter("versionId"),
    "s3:signatureage": _signature_age,
    "s3:authtype": _authentication,
    "s3:signatureversion": _signature_version,
    "s3:requestobjecttagkeys": _request_tag_keys,
    "s3:object-lock-mode": _header("x-amz-object-lock-mode"),
    "s3:object-lock-retain-until-date": _header("x-amz-object-lock-retain-until-date"),
    "s3:object-lock-legal-hold": _header("x-amz-object-lock-legal-hold"),
    **{f"s3:{name}": _header(name) for name in _HEADERS},
}
