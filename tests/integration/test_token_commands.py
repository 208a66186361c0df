"""`weir token`, as somebody types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

Command = Callable[..., str]
REFUSED = 2


@pytest.fixture
def weir(typed: Command) -> Command:
    """Command lines of a co-op with one member."""
    typed("member", "add", "anna")
    return typed


def test_a_token_is_made_listed_without_its_secret_and_revoked(weir: Command) -> None:
    made = json.loads(
        weir(
            "token",
            "create",
            "anna",
            "--name",
            "books",
            "--scope",
            "usage:read",
            "--scope",
            "books:read",
            "--days",
            7,
            "--json",
        )
    )
    assert ("anna", ["usage:read", "books:read"]) == (made["member"], made["scopes"])
    token_id, secret = re.fullmatch(r"weir_([0-9a-f]{16})_([\w-]{43})", made["token"]).groups()  # type: ignore[union-attr]
    listed = weir("token", "list", "anna", "--json")
    (one,) = json.loads(listed)["tokens"]
    assert (token_id, "books", None, True) == (one["id"], one["name"], one["used"], one["is_open"])
    assert secret not in listed + weir("token", "list", "anna")
    assert f"{token_id} is closed\n" == weir("token", "revoke", token_id)
    assert "there is no open token" in weir("token", "revoke", token_id, status=REFUSED)
    assert [False] == [
        one["is_open"] for one in json.loads(weir("token", "list", "anna", "--json"))["tokens"]
    ]


def test_a_token_of_who_left_is_not_called_open(weir: Command) -> None:
    weir("token", "create", "anna", "--name", "books", "--scope", "usage:read", "--days", 7)
    weir("member", "leave", "anna")
    assert [False] == [
        one["is_open"] for one in json.loads(weir("token", "list", "anna", "--json"))["tokens"]
    ]


def test_a_token_without_an_end_or_a_scope_is_refused(weir: Command) -> None:
    words = ("token", "create", "anna", "--name", "x")
    assert "api_token_days_max" in weir(*words, "--scope", "usage:read", "--days", 366, status=REFUSED)
    assert "--days" in weir(*words, "--scope", "usage:read", status=REFUSED)
    assert "--scope" in weir(*words, "--days", 7, status=REFUSED)
    assert "'all' is not one of" in weir(*words, "--scope", "all", "--days", 7, status=REFUSED)
    assert "no member" in weir("token", "list", "nobody", status=REFUSED)
