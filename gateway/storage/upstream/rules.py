"""What an upstream answers about versioning, locks and tags, of a bucket or of an object. Pure."""

from __future__ import annotations

from gateway.storage.model import DefaultRetention, Retention, RetentionMode, Versioning
from gateway.storage.upstream.answers import instant_of, malformed, number_of, read_root, text_of
from gateway.storage.upstream.errors import Asked


def read_versioning(body: bytes, asked: Asked) -> Versioning:
    """VersioningConfiguration; without a status versions were never asked for."""
    status = text_of(read_root(body, asked, "VersioningConfiguration"), "Status")
    match status:
        case "":
            return Versioning.OFF
        case "Enabled":
            return Versioning.ENABLED
        case "Suspended":
            return Versioning.SUSPENDED
        case _:
            raise malformed(asked, f"the versioning {status[:32]!r}")


def read_lock_configuration(body: bytes, asked: Asked) -> tuple[bool, DefaultRetention | None]:
    """ObjectLockConfiguration: whether the bucket has object lock, and its default."""
    root = read_root(body, asked, "ObjectLockConfiguration")
    is_enabled = text_of(root, "ObjectLockEnabled") == "Enabled"
    defaults = [one for rule in root.all("Rule") for one in rule.all("DefaultRetention")]
    if not is_enabled or not defaults:
        return is_enabled, None
    mode = _mode(text_of(defaults[0], "Mode"), asked)
    days, years = (number_of(defaults[0], name, asked, absent=0) for name in ("Days", "Years"))
    return True, DefaultRetention(mode, days=days, years=years)


def read_retention(body: bytes, asked: Asked) -> Retention | None:
    """Retention of a version; versitygw calls the document by its type."""
    root = read_root(body, asked, "Retention", "ObjectLockRetention")
    mode, until = text_of(root, "Mode"), text_of(root, "RetainUntilDate")
    return Retention(_mode(mode, asked), instant_of(until, asked)) if mode or until else None


def read_legal_hold(body: bytes, asked: Asked) -> bool:
    """LegalHold of a version."""
    return text_of(read_root(body, asked, "LegalHold"), "Status") == "ON"


def read_tagging(body: bytes, asked: Asked) -> dict[str, str]:
    """The tags of an object or bucket. An upstream that knows no tags may answer with the object: Unavailable."""
    root = read_root(body, asked, "Tagging")
    tags: dict[str, str] = {}
    for node in (tag for tag_set in root.all("TagSet") for tag in tag_set.all("Tag")):
        key, value = node.one("Key"), node.one("Value")
        if key is None:
            raise malformed(asked, "a tag without its key")
        tags[key] = value or ""
    return tags


def _mode(text: str, asked: Asked) -> RetentionMode:
    if text not in RetentionMode.__members__:
        raise malformed(asked, f"the retention {text[:32]!r}")
    return RetentionMode(text)
