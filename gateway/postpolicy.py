"""The policy of an upload form: what its signer allows whoever holds the form to send. Pure.

Every field must be named by a condition, so that nothing can be slipped in beside what was signed.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import S3Error, s3_error
from meter.window import to_us

_FREE_FIELDS = frozenset(("x-amz-signature", "file", "policy"))
_FREE_PREFIX = "x-ignore-"
_LISTS = frozenset(("content-type",))
"""Fields whose commas separate values, each of which must hold."""
_LENGTH_RANGE = "content-length-range"


@dataclass(frozen=True, slots=True)
class FieldCondition:
    """A field must equal a text, or start with it."""

    field: str
    value: str
    is_prefix: bool

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether it does; a field that is not there never does."""
        given = fields.get(self.field)
        if given is None:
            return False
        if not self.is_prefix:
            return given == self.value
        values = given.split(",") if self.field in _LISTS else [given]
        return all(
            one.strip().startswith(self.value) if len(values) > 1 else one.startswith(self.value)
            for one in values
        )


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """A form's policy."""

    expires_us: int
    conditions: tuple[FieldCondition, ...]
    least_bytes: int = 0
    most_bytes: int | None = None
    """Of the file; None: no more than any object."""


def parse_policy(text: str) -> PostPolicy:
    """Read the form's policy field. Raises InvalidPolicyDocument."""
    try:
        raw = json.loads(b64decode(text, validate=True).decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(raw, dict):
        raise _invalid("Invalid JSON.")
    for name in raw:
        if name not in ("expiration", "conditions"):
            raise _invalid(f"Unexpected: '{str(name)[:64]}'.")
    conditions = raw.get("conditions")
    if not isinstance(conditions, list) or not conditions:
        raise _invalid("The policy document has no list of conditions.")
    fields: list[FieldCondition] = []
    least, most = 0, None
    for condition in conditions:
        if isinstance(condition, list) and condition[:1] and str(condition[0]).lower() == _LENGTH_RANGE:
            lower, upper = _range(condition)
            least, most = max(least, lower), upper if most is None else min(most, upper)
        else:
            fields.append(_field_condition(condition))
    return PostPolicy(_instant_us(raw.get("expiration")), tuple(fields), least, most)


def check_policy(policy: PostPolicy, fields: Mapping[str, str], *, bucket: str, now_us: int) -> None:
    """Whether a form with these fields, sent now to that bucket, is what was signed. Raises AccessDenied.

    fields are the form's with its final key; the file's length is checked where it is counted.
    """
    if now_us >= policy.expires_us:
        raise _refused("Policy expired.")
    held = {**fields, "bucket": bucket}
    named = {condition.field for condition in policy.conditions}
    for condition in policy.conditions:
        if not condition.holds(held):
            shown = json.dumps(
                ["starts-with" if condition.is_prefix else "eq", f"${condition.field}", condition.value]
            )
            raise _refused(f"Policy Condition failed: {shown[:300]}")
    extra = sorted(name for name in held if name not in named and not _is_free(name))
    if extra:
        raise _refused(f"Extra input fields: {', '.join(extra)[:300]}")


def _is_free(name: str) -> bool:
    return name in _FREE_FIELDS or name.startswith(_FREE_PREFIX)


def _field_condition(condition: Any) -> FieldCondition:
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise _invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
            )
        ((name, value),) = condition.items()
        if not isinstance(value, str) or not name:
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return FieldCondition(name.lower(), value, is_prefix=False)
    if not isinstance(condition, list) or not all(isinstance(one, str) for one in condition):
        raise _invalid("Invalid Condition: must be a list of strings or an object.")
    if len(condition) != 3:
        raise _invalid("Invalid Condition: wrong number of arguments.")
    operator, name, value = condition
    if operator.lower() not in ("eq", "starts-with") or not name.startswith("$") or len(name) < 2:
        raise _invalid(f"Invalid Condition: {operator[:32]} {name[:64]}.")
    return FieldCondition(name[1:].lower(), value, is_prefix=operator.lower() == "starts-with")


def _range(condition: list[Any]) -> tuple[int, int]:
    if len(condition) != 3:
        raise _invalid("Invalid content-length-range: wrong number of arguments.")
    least, most = _whole(condition[1]), _whole(condition[2])
    if least > most:
        raise _invalid("Invalid content-length-range: the least is more than the most.")
    return least, most


def _whole(value: Any) -> int:
    """Clients write the numbers of a range as numbers or as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**19:
        return value
    raise _invalid("Invalid content-length-range: not a whole number.")


def _instant_us(value: Any) -> int:
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return to_us(datetime.fromisoformat(value))
        except ValueError:
            pass  # the same refusal as for no date at all, below
    raise _invalid(
        "Invalid or missing 'expiration': an ISO 8601 instant in UTC, such as 2026-12-01T12:00:00Z."
    )


def _without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Two values under one name are two views of the same policy."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def _invalid(why: str) -> S3Error:
    return s3_error("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _refused(why: str) -> S3Error:
    return s3_error("AccessDenied", f"Invalid according to Policy: {why}")
