"""The LifecycleConfiguration document: read with S3's checks, and written back. Pure.

The directory keeps what write() makes: one line for the default minimum size of transitions, which changes nothing
where there is one storage class and which clients want to hear again, then the document.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from functools import lru_cache

from gateway.errors import S3Error, s3_error
from gateway.lifecycle import DAY_US, Filter, Rule
from gateway.markup import NAMESPACE, element
from gateway.tree import Node, malformed, parse_boolean, parse_tree
from meter.window import to_datetime, to_us

RULES_MAX = 1000
ID_CHARACTERS_MAX = 255
PREFIX_BYTES_MAX = 1024
KEPT_MAX = 100
DAYS_MAX = 2**31 - 1
SIZE_BYTES_MAX = 1024**4 * 1000
"""S3's own bound of a size in a filter, 1000 TiB."""
MINIMUM_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
DOCUMENTS_CACHED_MAX = 256
_RULE_ELEMENTS = frozenset(
    (
        "ID", "Status", "Filter", "Prefix", "Expiration", "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload", "Transition", "NoncurrentVersionTransition",
    )
)  # fmt: skip
_CONDITIONS = frozenset(("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"))
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")


def parse_lifecycle(body: bytes) -> tuple[Rule, ...]:
    """The rules a client sends. Raises MalformedXML, InvalidArgument, InvalidRequest, NotImplemented."""
    root = parse_tree(body, "LifecycleConfiguration")
    nodes = root.all("Rule")
    if len(nodes) != len(root.children) or not 1 <= len(nodes) <= RULES_MAX:
        raise malformed()
    rules = tuple(_rule(node, number) for number, node in enumerate(nodes, 1))
    if len({rule.rule_id for rule in rules}) != len(rules):
        raise _argument("Rule ID must be unique. Found same ID for more than one rule")
    return rules


def parse_minimum_size(text: str | None) -> str:
    """x-amz-transition-default-minimum-object-size. Raises InvalidArgument."""
    if text is None:
        return MINIMUM_SIZES[0]
    if text not in MINIMUM_SIZES:
        raise _argument("The transition default minimum object size is not valid.")
    return text


def write(rules: tuple[Rule, ...], minimum_size: str) -> str:
    """What the directory keeps."""
    inner = "".join(map(_written, rules))
    return f'{minimum_size}\n<LifecycleConfiguration xmlns="{NAMESPACE}">{inner}</LifecycleConfiguration>'


def document_of(kept: str) -> tuple[str, str]:
    """The default minimum size and the document of what the directory keeps."""
    minimum_size, _, document = kept.partition("\n")
    return minimum_size, document


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def rules_of(kept: str) -> tuple[Rule, ...]:
    """The rules of what the directory keeps."""
    return parse_lifecycle(document_of(kept)[1].encode())


def _rule(node: Node, number: int) -> Rule:
    if not {child.name for child in node.children} <= _RULE_ELEMENTS:
        raise malformed()
    status = (node.one("Status") or "").strip()
    if status not in ("Enabled", "Disabled"):
        raise malformed()
    for name in ("Transition", "NoncurrentVersionTransition"):
        if node.all(name):
            raise s3_error("NotImplemented", f"{name} is not implemented: there is one storage class.")
    chosen, is_old_style = _filter(node)
    rule_id = node.one("ID") or _made_id(node, number)
    if len(rule_id) > ID_CHARACTERS_MAX:
        raise _argument(f"ID length should not exceed allowed limit of {ID_CHARACTERS_MAX}")
    days, at_us, markers = _expiration(node)
    noncurrent_days, kept = _noncurrent(node)
    abort_days = _abort(node)
    if (days, at_us, markers, noncurrent_days, abort_days) == (None,) * 5:
        raise s3_error("InvalidRequest", "At least one action needs to be specified in a rule.")
    _check_scope(chosen, markers=markers, aborts=abort_days is not None)
    return Rule(
        rule_id, status == "Enabled", chosen, is_old_style, days, at_us, markers, noncurrent_days, kept, abort_days
    )  # fmt: skip


def _made_id(node: Node, number: int) -> str:
    """A rule without a name gets one that stays the same when the same document is sent again."""
    return hashlib.sha256(f"{number} {node!r}".encode()).hexdigest()[:48]


def _filter(node: Node) -> tuple[Filter, bool]:
    filters, prefixes = node.all("Filter"), node.all("Prefix")
    if filters and prefixes:
        raise s3_error("InvalidRequest", "Filter and Prefix cannot be used together in a Lifecycle Rule.")
    if len(filters) + len(prefixes) != 1:
        raise malformed()
    if prefixes:
        return Filter(_prefix(prefixes[0].text)), True
    found = filters[0]
    if len(found.children) > 1:
        raise malformed()
    joined = found.all("And")
    if joined and len(joined[0].children) < 2:
        raise malformed()
    return _conditions(joined[0] if joined else found), False


def _conditions(node: Node) -> Filter:
    if not {child.name for child in node.children} <= _CONDITIONS:
        raise malformed()
    tags = []
    for tag in node.all("Tag"):
        name, value = tag.one("Key"), tag.one("Value")
        if not name or value is None or len(tag.children) != 2:
            raise malformed()
        tags.append((name, value))
    if len({name for name, _ in tags}) != len(tags):
        raise s3_error("InvalidRequest", "Duplicate Tag Keys are not allowed.")
    larger, smaller = (_size(node, name) for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"))
    if larger is not None and smaller is not None and smaller <= larger:
        raise s3_error(
            "InvalidRequest", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."
        )
    return Filter(_prefix(node.one("Prefix") or ""), tuple(tags), larger, smaller)


def _prefix(text: str) -> str:
    if len(text.encode()) > PREFIX_BYTES_MAX:
        raise s3_error("InvalidRequest", f"The maximum size of a prefix is {PREFIX_BYTES_MAX}.")
    return text


def _size(node: Node, name: str) -> int | None:
    text = node.one(name)
    if text is None:
        return None
    least = 0 if name == "ObjectSizeGreaterThan" else 1
    number = _number(text)
    if not least <= number <= SIZE_BYTES_MAX:
        raise s3_error("InvalidRequest", f"'{name}' should be between {least} and {SIZE_BYTES_MAX}.")
    return number


def _expiration(node: Node) -> tuple[int | None, int | None, bool | None]:
    """Days, date, and whether lone markers go; exactly one of the three."""
    action = _only(node, "Expiration")
    if action is None:
        return None, None, None
    if len(action.children) != 1:
        raise malformed()
    days, text, markers = map(action.one, ("Days", "Date", "ExpiredObjectDeleteMarker"))
    if days is not None:
        return _days(days, "Days", "Expiration"), None, None
    if text is not None:
        return None, _midnight_us(text.strip()), None
    if markers is None:
        raise malformed()
    return None, None, parse_boolean(markers)


def _noncurrent(node: Node) -> tuple[int | None, int]:
    action = _only(node, "NoncurrentVersionExpiration")
    if action is None:
        return None, 0
    days, kept = action.one("NoncurrentDays"), action.one("NewerNoncurrentVersions")
    if days is None or len(action.children) != 1 + (kept is not None):
        raise malformed()
    number = 0 if kept is None else _number(kept)
    if kept is not None and not 1 <= number <= KEPT_MAX:
        raise _argument(f"'NewerNoncurrentVersions' must be a positive integer of at most {KEPT_MAX}")
    return _days(days, "NoncurrentDays", "NoncurrentVersionExpiration"), number


def _abort(node: Node) -> int | None:
    action = _only(node, "AbortIncompleteMultipartUpload")
    if action is None:
        return None
    days = action.one("DaysAfterInitiation")
    if days is None or len(action.children) != 1:
        raise malformed()
    return _days(days, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")


def _only(node: Node, name: str) -> Node | None:
    found = node.all(name)
    if len(found) > 1:
        raise malformed()
    return found[0] if found else None


def _check_scope(chosen: Filter, *, markers: bool | None, aborts: bool) -> None:
    """Markers and uploads have neither tags nor sizes, so a rule about them cannot ask for any."""
    has_size = chosen.larger_than_bytes is not None or chosen.smaller_than_bytes is not None
    for name, asked in (
        ("ExpiredObjectDeleteMarker", markers is not None),
        ("AbortIncompleteMultipartUpload", aborts),
    ):
        for words, there in (("Tags", bool(chosen.tags)), ("Object Size", has_size)):
            if asked and there:
                raise s3_error("InvalidRequest", f"{name} cannot be specified with {words}.")


def _days(text: str, name: str, action: str) -> int:
    number = _number(text)
    if number < 1:
        raise _argument(f"'{name}' for {action} action must be a positive integer")
    if number > DAYS_MAX:
        raise malformed()
    return number


def _number(text: str) -> int:
    digits = text.strip()
    if not digits.isascii() or _NUMBER.fullmatch(digits) is None:
        raise malformed()
    return int(digits)


def _midnight_us(text: str) -> int:
    """An ISO 8601 date or instant, which must be midnight UTC, in microseconds."""
    try:
        if len(text) == len("2026-01-01"):
            found = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        else:
            found = datetime.fromisoformat(text)
        instant_us = to_us(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise malformed() from None
    if instant_us < 0 or instant_us % DAY_US:
        raise _argument("'Date' must be at midnight GMT")
    return instant_us


def _argument(message: str) -> S3Error:
    return s3_error("InvalidArgument", message)


def _written(rule: Rule) -> str:
    inner = element("ID", rule.rule_id)
    prefix = element("Prefix", rule.filter.prefix)
    inner += prefix if rule.is_old_style else f"<Filter>{_written_filter(rule.filter)}</Filter>"
    inner += element("Status", "Enabled" if rule.enabled else "Disabled")
    expiration = ""
    if rule.expire_days is not None:
        expiration = element("Days", str(rule.expire_days))
    elif rule.expire_at_us is not None:
        expiration = element("Date", f"{to_datetime(rule.expire_at_us):%Y-%m-%dT%H:%M:%S.000Z}")
    elif rule.expire_markers is not None:
        expiration = element("ExpiredObjectDeleteMarker", "true" if rule.expire_markers else "false")
    if expiration:
        inner += f"<Expiration>{expiration}</Expiration>"
    if rule.noncurrent_days is not None:
        kept = element("NewerNoncurrentVersions", str(rule.noncurrent_kept)) if rule.noncurrent_kept else ""
        days = element("NoncurrentDays", str(rule.noncurrent_days))
        inner += f"<NoncurrentVersionExpiration>{days}{kept}</NoncurrentVersionExpiration>"
    if rule.abort_days is not None:
        days = element("DaysAfterInitiation", str(rule.abort_days))
        inner += f"<AbortIncompleteMultipartUpload>{days}</AbortIncompleteMultipartUpload>"
    return f"<Rule>{inner}</Rule>"


def _written_filter(chosen: Filter) -> str:
    parts = [element("Prefix", chosen.prefix)] if chosen.prefix else []
    parts += [f"<Tag>{element('Key', name)}{element('Value', value)}</Tag>" for name, value in chosen.tags]
    if chosen.larger_than_bytes is not None:
        parts.append(element("ObjectSizeGreaterThan", str(chosen.larger_than_bytes)))
    if chosen.smaller_than_bytes is not None:
        parts.append(element("ObjectSizeLessThan", str(chosen.smaller_than_bytes)))
    if len(parts) > 1:
        return f"<And>{''.join(parts)}</And>"
    return parts[0] if parts else element("Prefix", "")
