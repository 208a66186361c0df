"""Reads the JSON of a bucket policy. What it does not know it refuses: a condition passed over would open a door.

The sentences are S3's, as far as S3 has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache

from gateway.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from gateway.errors import S3Error, s3_error
from gateway.policy.conditions import BadCondition, Condition, parse_condition
from gateway.policy.facts import is_fact
from gateway.policy.model import Policy, Principals, Statement
from gateway.policy.patterns import Pattern, parse_pattern

POLICY_BYTES_MAX = 20 * 1024
"""S3's own limit."""
DEPTH_MAX = 12
"""Nothing in a policy lies deeper than 6."""
PATTERN_CHARACTERS_MAX = 2048
WILDCARDS_MAX = 500
"""In a whole policy: each is compared at every request, and kept in memory in a form ten times its size."""
POLICIES_REMEMBERED_MAX = 256

_VERSIONS = ("2012-10-17", "2008-10-17")
_POLICY_FIELDS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_FIELDS = frozenset(
    (
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    )
)
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_MEMBER = re.compile(r"[0-9]{12}")
_ARN_OF_MEMBER = re.compile(r"arn:aws:iam::([0-9]{12}):root")
_ARN_OF_USER = re.compile(r"arn:aws:iam::([0-9]{12})?:user/([^*?/]{1,128})")
_ARN_OF_S3 = "arn:aws:s3:::"
_ACTIONS = {action.lower() for action in BUCKET_ACTIONS | OBJECT_ACTIONS}
_LOWER_BUCKET_ACTIONS = {action.lower() for action in BUCKET_ACTIONS}


def canonical_policy(body: bytes, *, bucket: str) -> str:
    """The policy as it is kept, once it has been read without complaint. Raises MalformedPolicy."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_json() from None
    document = _json(text)
    if text.count("*") + text.count("?") > WILDCARDS_MAX:
        raise _malformed(f"The policy holds more than {WILDCARDS_MAX} wildcards.")
    _policy(document, bucket)
    return json.dumps(document, separators=(",", ":"))


@lru_cache(maxsize=POLICIES_REMEMBERED_MAX)
def parse_policy(text: str, bucket: str) -> Policy:
    """The policy in a document that canonical_policy wrote."""
    return _policy(_json(text), bucket)


def _json(text: str) -> dict[str, object]:
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > DEPTH_MAX:
            raise _malformed("The policy is nested too deeply.")
    if not text.startswith("{"):
        raise _not_json()
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _not_json() from None
    if not isinstance(found, dict):
        raise _not_json()
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A name that stands twice has two meanings."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("A field stands twice in the policy.")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _policy(document: dict[str, object], bucket: str) -> Policy:
    _check_fields(document, _POLICY_FIELDS)
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise _malformed("Invalid policy syntax.")
    if "Statement" not in document:
        raise _malformed("Missing required field Statement")
    raw = document["Statement"]
    listed = raw if isinstance(raw, list) else [raw]
    entries: list[dict[str, object]] = [entry for entry in listed if isinstance(entry, dict)]
    if not entries or len(entries) != len(listed):
        raise _malformed("Invalid policy syntax.")
    sids = [entry["Sid"] for entry in entries if "Sid" in entry]
    if not all(isinstance(sid, str) for sid in sids) or len(set(sids)) != len(sids):
        raise _malformed("Statement IDs (SID) in a single policy must be unique text.")
    statements = tuple(_statement(entry, bucket, with_variables=version == _VERSIONS[0]) for entry in entries)
    return Policy(statements, frozenset(_keys(statements)))


def _keys(statements: Iterable[Statement]) -> Iterable[str]:
    for one in statements:
        for resource in one.resources:
            yield from resource.variables
        for condition in one.conditions:
            yield condition.key
            yield from condition.variables


def _statement(entry: dict[str, object], bucket: str, *, with_variables: bool) -> Statement:
    _check_fields(entry, _STATEMENT_FIELDS)
    effect = entry.get("Effect")
    if effect is None:
        raise _malformed("Missing required field Effect")
    if effect not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {str(effect)[:100]}")
    who, except_who = _one_of(entry, "Principal", "NotPrincipal")
    what, except_what = _one_of(entry, "Action", "NotAction")
    where, except_where = _one_of(entry, "Resource", "NotResource")
    actions = tuple(map(_action, _texts(what, "Policy has invalid action")))
    places = _texts(where, "Policy has invalid resource")
    resources = tuple(_resource(place, bucket, with_variables=with_variables) for place in places)
    if not (except_what or except_where):
        _check_meeting(actions, places, bucket)
    conditions = tuple(_conditions(entry.get("Condition", {}), with_variables=with_variables))
    return Statement(
        effect == "Allow", _principals(who), except_who, actions, except_what, resources, except_where, conditions
    )  # fmt: skip


def _one_of(entry: dict[str, object], name: str, other: str) -> tuple[object, bool]:
    """The one of the two that is there, and whether it is the excepting one."""
    if (name in entry) == (other in entry):
        raise _malformed(f"Missing required field {name}" if name not in entry else "Invalid policy syntax.")
    return (entry[name], False) if name in entry else (entry[other], True)


def _texts(value: object, complaint: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    found = [one for one in listed if isinstance(one, str) and one]
    if not found or len(found) != len(listed) or any(len(one) > PATTERN_CHARACTERS_MAX for one in found):
        raise _malformed(complaint)
    return tuple(found)


def _principals(value: object) -> Principals:
    named = {"AWS": value} if value == "*" else value
    if not isinstance(named, dict) or not named or not named.keys() <= {"AWS", "CanonicalUser"}:
        raise _malformed("Invalid principal in policy")
    everybody = False
    members: set[int] = set()
    names: set[str] = set()
    pairs: set[tuple[int, str]] = set()
    for kind, listed in named.items():
        for text in _texts(listed, "Invalid principal in policy"):
            if text == "*" and kind == "AWS":
                everybody = True
            elif _MEMBER.fullmatch(text):
                members.add(int(text))
            elif kind == "AWS" and (arn := _ARN_OF_MEMBER.fullmatch(text)):
                members.add(int(arn[1]))
            elif kind == "AWS" and (arn := _ARN_OF_USER.fullmatch(text)) and arn[1]:
                pairs.add((int(arn[1]), arn[2]))
            elif kind == "AWS" and (arn := _ARN_OF_USER.fullmatch(text)):
                names.add(arn[2])
            else:
                raise _malformed("Invalid principal in policy")
    return Principals(everybody, frozenset(members), frozenset(names), frozenset(pairs))


def _action(text: str) -> Pattern:
    pattern = parse_pattern(text.lower(), with_variables=False)
    if text != "*" and not any(pattern.matches(known, _nothing) for known in _ACTIONS):
        raise _malformed("Policy has invalid action")
    return pattern


def _resource(text: str, bucket: str, *, with_variables: bool) -> Pattern:
    path = text.removeprefix(_ARN_OF_S3)
    if text != "*" and (
        path == text or not path.startswith(bucket) or path[len(bucket) :][:1] not in ("", "/", "*")
    ):
        raise _malformed("Policy has invalid resource")
    pattern = parse_pattern(path, with_variables=with_variables)
    if not all(map(is_fact, pattern.variables)):
        raise _malformed("Policy has invalid resource")
    return pattern


def _check_meeting(actions: tuple[Pattern, ...], places: tuple[str, ...], bucket: str) -> None:
    """Each action has a resource of its kind: who forgot the `/*` learns it here and not from an AccessDenied."""
    paths = [place.removeprefix(_ARN_OF_S3) for place in places]
    has_bucket = any("/" not in path for path in paths)
    has_object = any(path != bucket for path in paths)
    for action in actions:
        known = {one for one in _ACTIONS if action.matches(one, _nothing)}
        fits_bucket = has_bucket and known & _LOWER_BUCKET_ACTIONS
        fits_object = has_object and known - _LOWER_BUCKET_ACTIONS
        if not fits_bucket and not fits_object:
            raise _malformed("Action does not apply to any resource(s) in statement")


def _conditions(value: object, *, with_variables: bool) -> Iterable[Condition]:
    if not isinstance(value, dict):
        raise _malformed("Invalid policy syntax.")
    for operator, tests in value.items():
        if not isinstance(tests, dict):
            raise _malformed("Invalid policy syntax.")
        for key, wanted in tests.items():
            if not is_fact(key.lower()):
                raise _malformed("Policy has an invalid condition key")
            try:
                condition = parse_condition(operator, key, _values(wanted), with_variables=with_variables)
            except BadCondition as error:
                raise _malformed(str(error)) from None
            if with_variables and not all(map(is_fact, condition.variables)):
                raise _malformed("Policy has an invalid condition key")
            yield condition


def _values(wanted: object) -> tuple[str, ...]:
    """Condition values as text: JSON's numbers and booleans are written as policies write them."""
    listed = wanted if isinstance(wanted, list) else [wanted]
    if not listed:
        raise _malformed("Invalid policy syntax.")
    found = []
    for one in listed:
        if isinstance(one, bool):
            found.append("true" if one else "false")
        elif isinstance(one, str | int) and len(text := str(one)) <= PATTERN_CHARACTERS_MAX:
            found.append(text)
        else:
            raise _malformed("Invalid policy syntax.")
    return tuple(found)


def _check_fields(entry: dict[str, object], known: frozenset[str]) -> None:
    unknown = sorted(entry.keys() - known)
    if unknown:
        raise _malformed(f"Unknown field {unknown[0][:100]}")


def _nothing(name: str) -> str | None:
    del name
    return None


def _not_json() -> S3Error:
    return _malformed("Policies must be valid JSON and the first byte must be '{'")


def _malformed(sentence: str) -> S3Error:
    return s3_error("MalformedPolicy", sentence)
