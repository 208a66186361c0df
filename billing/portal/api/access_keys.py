"""The API about access keys: listed, made, rotated, revoked. A secret is in one answer, once, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.portal import key_acts, key_store, keys
from billing.portal.api.route import Asking, Body, Parameter, Route, Schema, Told
from billing.portal.api.shapes import FLAG, TEXT, TIME, or_null, record, rows
from billing.portal.key_acts import NewKey
from billing.portal.keys import DAYS_MAX, HOURS_MAX, Bounds, KeyLine
from billing.portal.tokens import Scope
from billing.words import iso_text
from meter.credentials import new_access_key

NAME: Schema = {"type": "string", "pattern": "^WEIR[A-Z0-9]{16}$"}
BUCKETS_MAX = 500
_BOUNDS: dict[str, Schema] = {
    "read_only": FLAG,
    "buckets": or_null(rows(TEXT), words="The only ones it opens; null: all of yours."),
    "expires": or_null(TIME, words="null: never by itself."),
}
KEY = record({"access_key": NAME, "created": TIME, "revoked": or_null(TIME), "is_open": FLAG, **_BOUNDS})
KEYS = record(
    {
        "keys": rows(KEY, words="Open ones first, then the newest first."),
        "is_cut": {"type": "boolean", "description": "There are older ones that are not listed."},
    }
)
NEW_KEY = record(
    {
        "access_key": NAME,
        "secret_key": {"type": "string", "description": "Shown this once."},
        **_BOUNDS,
        "old": or_null(
            record({"access_key": NAME, "ends": or_null(TIME, words="null: it is closed.")}),
            words="The key it comes after.",
        ),
    }
)
_FRESH: Schema = {
    **NAME,
    "description": "A name that you made for it, so that a request that is sent twice makes one key.",
}
MAKE = record(
    {
        "access_key": _FRESH,
        "read_only": {
            "type": "boolean",
            "default": False,
            "description": "It reads and lists, and changes nothing.",
        },
        "buckets": {
            "type": "array",
            "items": {"type": "string", "minLength": 3, "maxLength": 63},
            "maxItems": BUCKETS_MAX,
            "uniqueItems": True,
            "description": "The only buckets of yours it opens; left out or empty: all.",
        },
        "expires_days": {
            "type": "integer",
            "minimum": 1,
            "maximum": DAYS_MAX,
            "description": "It ends after so many days; left out: never by itself.",
        },
    },
    optional=("access_key", "read_only", "buckets", "expires_days"),
)
ROTATE = record(
    {
        "access_key": _FRESH,
        "ends_in_hours": {
            "type": "integer",
            "minimum": 0,
            "maximum": HOURS_MAX,
            "default": 0,
            "description": "When the old key ends; 0: at once.",
        },
    },
    optional=("access_key", "ends_in_hours"),
)
_ONE_BOUNDS: Mapping[str, Any] = {
    "read_only": True, "buckets": ["films"], "expires": "2027-02-04T00:00:00.000000Z",
}  # fmt: skip
_ONE_KEY: Mapping[str, Any] = {
    "access_key": "WEIR0123456789ABCDEF", "created": "2026-11-06T00:00:00.000000Z", "revoked": None, "is_open": True,
    **_ONE_BOUNDS,
}  # fmt: skip
_ONE_NEW: Mapping[str, Any] = {
    "access_key": "WEIRFEDCBA9876543210", "secret_key": "shown-this-once", **_ONE_BOUNDS, "old": None,
}  # fmt: skip
_ROTATED: Mapping[str, Any] = {
    **_ONE_NEW, "old": {"access_key": "WEIR0123456789ABCDEF", "ends": "2026-11-07T00:00:00.000000Z"},
}  # fmt: skip


def routes() -> tuple[Route, ...]:
    """What this module answers."""
    which = Parameter("access_key", NAME, "One of your own.", "WEIR0123456789ABCDEF", in_path=True)
    return (
        Route(
            "GET", "/keys", "listKeys", "keys", "Your access keys, without their secrets", _keys,
            (Told(KEYS, {"keys": [_ONE_KEY], "is_cut": False}),), Scope.KEYS,
        ),
        Route(
            "POST", "/keys", "makeKey", "keys", "Make an access key; its secret is in the answer, once", _make,
            (Told(NEW_KEY, _ONE_NEW),), Scope.KEYS_WRITE,
            body=Body(MAKE, {"read_only": True, "buckets": ["films"], "expires_days": 90}), status=201,
            conflicts=True,
        ),
        Route(
            "POST", "/keys/{access_key}/rotate", "rotateKey", "keys", "Make the key that comes after one of yours",
            _rotate, (Told(NEW_KEY, _ROTATED),), Scope.KEYS_WRITE, parameters=(which,),
            body=Body(ROTATE, {"ends_in_hours": 24}), status=201, conflicts=True,
            words="It has the same bounds, and as long a life where the old one had an end.",
        ),
        Route(
            "POST", "/keys/{access_key}/revoke", "revokeKey", "keys", "Close one of your keys for good", _revoke,
            (Told(KEY, {**_ONE_KEY, "revoked": "2026-11-06T00:00:00.000000Z", "is_open": False}),),
            Scope.KEYS_WRITE, parameters=(which,), words="Once more changes nothing.",
        ),
    )  # fmt: skip


async def _keys(asking: Asking) -> Mapping[str, Any]:
    most = asking.portal.settings.api_rows_max
    async with asking.portal.database() as connection:
        found = await key_store.own_keys(connection, asking.caller.member, count_max=most + 1)
    return {
        "keys": [_line(one, now_us=asking.now_us) for one in found[:most]],
        "is_cut": len(found) > most,
    }


async def _make(asking: Asking) -> Mapping[str, Any]:
    portal, member, body = asking.portal, asking.caller.member, asking.body
    form = {
        "access_key": body.get("access_key", new_access_key()),
        "rights": "read" if body.get("read_only") else "all",
        "expires_days": str(body.get("expires_days", "")),
    }
    async with portal.database() as connection:
        own = await key_store.live_buckets(
            connection, member, count_max=portal.settings.portal_usage_rows_max
        )
        wanted = keys.read_wanted(form, body.get("buckets", []), own, now_us=asking.now_us)
        made = await key_acts.make_key(portal, connection, member, wanted, now_us=asking.now_us)
    return _new(made)


async def _rotate(asking: Asking) -> Mapping[str, Any]:
    body, now = asking.body, asking.now_us
    form = {
        "access_key": body.get("access_key", new_access_key()),
        "ends_in_hours": str(body.get("ends_in_hours", 0)),
    }
    async with asking.portal.database() as connection:
        made = await key_acts.rotate_key(
            asking.portal, connection, asking.caller.member, asking.values["access_key"], keys.read_name(form),
            ends_us=keys.read_end(form, now_us=now), now_us=now,
        )  # fmt: skip
    return _new(made)


async def _revoke(asking: Asking) -> Mapping[str, Any]:
    member, name = asking.caller.member, asking.values["access_key"]
    async with asking.portal.database() as connection:
        await key_acts.revoke_key(connection, member, name, now_us=asking.now_us)
        line = await key_acts.own_key(connection, member, name)
    return _line(line, now_us=asking.now_us)


def _line(one: KeyLine, *, now_us: int) -> dict[str, Any]:
    return {
        "access_key": one.access_key,
        "created": iso_text(one.created_us),
        "revoked": None if one.revoked_us is None else iso_text(one.revoked_us),
        "is_open": one.is_open(now_us),
        **_bounds(one.bounds),
    }


def _new(made: NewKey) -> dict[str, Any]:
    old = made.old
    return {
        "access_key": made.access_key,
        "secret_key": made.secret,
        **_bounds(made.bounds),
        "old": None
        if old is None
        else {
            "access_key": old.access_key,
            "ends": None if made.old_ends_us is None else iso_text(made.old_ends_us),
        },
    }


def _bounds(bounds: Bounds) -> dict[str, Any]:
    return {
        "read_only": bounds.read_only,
        "buckets": None if bounds.buckets is None else list(bounds.buckets),
        "expires": None if bounds.expires_us is None else iso_text(bounds.expires_us),
    }
