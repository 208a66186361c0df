"""A way in that takes two steps: one random token in the browser's cookie, from which all that must match follows. Pure.

Challenge, state, nonce and PKCE's verifier are each the token's HMAC over their own word. So the database needs the
token's digest alone, and what comes back fits the browser that began and no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

TOKEN_CHARACTERS_MAX = 64


class Purpose(StrEnum):
    """What was begun; what was begun for one is no good for another."""

    PASSKEY = "passkey"
    NEW_PASSKEY = "new passkey"
    ACCOUNT = "account"
    NEW_ACCOUNT = "new account"


class Way(StrEnum):
    """By what a session was begun."""

    LINK = "link"
    PASSKEY = "passkey"
    ACCOUNT = "account"


class Happened(StrEnum):
    """What a member's record of the door says."""

    IN_BY_LINK = "in by link"
    IN_BY_PASSKEY = "in by passkey"
    IN_BY_ACCOUNT = "in by account"
    PASSKEY_ADDED = "passkey added"
    PASSKEY_REMOVED = "passkey removed"
    PASSKEY_REFUSED = "passkey refused"
    ACCOUNT_LINKED = "account linked"
    ACCOUNT_UNLINKED = "account unlinked"


WAY_WORDS: Mapping[Way, str] = {
    Way.LINK: "a one-time link",
    Way.PASSKEY: "a passkey",
    Way.ACCOUNT: "a linked account",
}
HAPPENED_WORDS: Mapping[Happened, str] = {
    Happened.IN_BY_LINK: "signed in with a one-time link",
    Happened.IN_BY_PASSKEY: "signed in with a passkey",
    Happened.IN_BY_ACCOUNT: "signed in with a linked account",
    Happened.PASSKEY_ADDED: "a passkey was added",
    Happened.PASSKEY_REMOVED: "a passkey was removed",
    Happened.PASSKEY_REFUSED: "a passkey was refused, because it counts as if there were a copy of it",
    Happened.ACCOUNT_LINKED: "an account was linked",
    Happened.ACCOUNT_UNLINKED: "an account was unlinked",
}


def digest_of(token: str) -> bytes:
    """Under which it is kept. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def derived(token: str, word: str) -> bytes:
    """32 bytes that only who has the token can know."""
    return hmac.digest(token.encode("utf-8", "surrogateescape"), word.encode("ascii"), "sha256")


def derived_text(token: str, word: str) -> str:
    """The same in 43 characters that may stand in a URL."""
    return base64.urlsafe_b64encode(derived(token, word)).rstrip(b"=").decode("ascii")


def is_on_this_machine(url: str) -> bool:
    """Whether a URL is plain http on loopback, where nobody listens in."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http":
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_safe(url: object, *, issuer: str) -> bool:
    """Whether a URL may be asked: over TLS, or on this machine where the issuer is."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.username or parts.fragment or not parts.hostname:
        return False
    return parts.scheme == "https" or (is_on_this_machine(issuer) and is_on_this_machine(url))
