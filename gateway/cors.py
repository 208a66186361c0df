"""Which pages of other origins may ask what of a bucket (CORS): the rules, their document, their headers. Pure.

The document is kept as we write it and read back with the same parser, so what is answered to Get is what is
obeyed. Section names are those of the Fetch standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.errors import S3Error, s3_error
from gateway.markup import document, element
from gateway.tree import Node, malformed, parse_tree

RULES_MAX = 100
"""S3's own limit."""
ID_CHARACTERS_MAX = 255
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_SECONDS_MAX = 2**31 - 1
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""A header's name (RFC 9110, section 5.6.2), so no rule can write a line of ours."""
_ORIGIN = re.compile(r"[\x21-\x7e]{1,1024}")
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True, slots=True)
class CorsRule:
    """One rule: a request that fits all of it is allowed."""

    origins: tuple[str, ...]
    """Each with at most one '*', which stands for any characters."""
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    """What a request may carry; each with at most one '*'."""
    exposed: tuple[str, ...] = ()
    """What of an answer the page may see."""
    max_age_s: int | None = None
    """How long a browser may remember a preflight."""
    name: str = ""
    """The rule's ID; it has no meaning."""

    def allows(self, origin: str, method: str, headers: Iterable[str] = ()) -> bool:
        """Whether a page of that origin may ask by that method, with these headers."""
        return (
            method in self.methods
            and any(_fits(one, origin) for one in self.origins)
            and all(any(_fits(one.lower(), name.lower()) for one in self.headers) for name in headers)
        )


def parse_cors(body: bytes) -> tuple[CorsRule, ...]:
    """Read a CORSConfiguration. Raises MalformedXML, InvalidRequest."""
    root = parse_tree(body, "CORSConfiguration")
    root.holds_only("CORSRule")
    if not root.children:
        raise malformed()
    if len(root.children) > RULES_MAX:
        raise s3_error(
            "InvalidRequest",
            f"The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules.",
        )
    return tuple(map(_rule, root.children))


def cors_document(rules: Sequence[CorsRule]) -> bytes:
    """The rules as a CORSConfiguration."""
    return document("CORSConfiguration", "".join(map(_rule_element, rules)))


@lru_cache(maxsize=256)
def stored_rules(text: str) -> tuple[CorsRule, ...]:
    """The rules of a document we wrote ourselves."""
    return parse_cors(text.encode())


def matching_rule(
    rules: Iterable[CorsRule], origin: str, method: str, headers: Iterable[str] = ()
) -> CorsRule | None:
    """The first rule that allows it."""
    asked = tuple(headers)
    return next((rule for rule in rules if rule.allows(origin, method, asked)), None)


def requested_headers(text: str) -> tuple[str, ...] | None:
    """Access-Control-Request-Headers; None where a name is none, and nothing can allow it."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return names if all(map(_TOKEN.fullmatch, names)) else None


def cors_headers(rule: CorsRule, origin: str, headers: Sequence[str] = ()) -> dict[str, str]:
    """What tells the browser that it is allowed; headers are those a preflight asked for.

    Invariant: a rule for every origin answers '*' and never says that credentials are welcome, so no origin
    is reflected that its owner did not name. A value that could break a line is left out.
    """
    for_everybody = "*" in rule.origins
    answer = {
        "Access-Control-Allow-Origin": "*" if for_everybody else origin,
        "Access-Control-Allow-Methods": ", ".join(rule.methods),
        "Access-Control-Allow-Headers": ", ".join(name.lower() for name in headers),
        "Access-Control-Expose-Headers": ", ".join(rule.exposed),
        "Access-Control-Max-Age": "" if rule.max_age_s is None else str(rule.max_age_s),
        "Access-Control-Allow-Credentials": "" if for_everybody else "true",
        "Vary": _VARY,
    }
    return {
        name: value for name, value in answer.items() if value and value.isprintable() and value.isascii()
    }


def not_allowed(method: str, kind: str, *, has_rules: bool) -> S3Error:
    """AccessForbidden for a preflight; kind is OBJECT or BUCKET."""
    words = (
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, "
        "request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted "
        "by the resource's CORS spec."
        if has_rules
        else "CORSResponse: CORS is not enabled for this bucket."
    )
    return s3_error("AccessForbidden", words, Method=method[:32], ResourceType=kind)


def _rule(node: Node) -> CorsRule:
    node.holds_only("ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds")
    origins, methods = _texts(node, "AllowedOrigin"), _texts(node, "AllowedMethod")
    name = node.one("ID") or ""
    if not origins or not methods or len(name) > ID_CHARACTERS_MAX:
        raise malformed()
    for method in methods:
        if method not in METHODS:
            raise s3_error(
                "InvalidRequest",
                f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:32]}",
            )
    headers, exposed = _texts(node, "AllowedHeader"), _texts(node, "ExposeHeader")
    _check_patterns("AllowedOrigin", origins, _ORIGIN)
    _check_patterns("AllowedHeader", headers, _TOKEN)
    for header in exposed:
        if "*" in header:
            raise s3_error(
                "InvalidRequest",
                f'ExposeHeader "{header[:100]}" contains wildcard. We currently do not support wildcard '
                "for ExposeHeader.",
            )
    _check_patterns("ExposeHeader", exposed, _TOKEN)
    return CorsRule(origins, methods, headers, exposed, _seconds(node.one("MaxAgeSeconds")), name)


def _texts(node: Node, name: str) -> tuple[str, ...]:
    return tuple(child.text.strip() for child in node.all(name))


def _check_patterns(kind: str, values: Iterable[str], allowed: re.Pattern[str]) -> None:
    for value in values:
        if value.count("*") > 1:
            raise s3_error("InvalidRequest", f'{kind} "{value[:100]}" can not have more than one wildcard.')
        if allowed.fullmatch(value) is None:
            raise s3_error("InvalidRequest", f"{kind} holds a character or a length that no header can have.")


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10 or int(digits) > _SECONDS_MAX:
        raise malformed()
    return int(digits)


def _fits(pattern: str, text: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def _rule_element(rule: CorsRule) -> str:
    inner = element("ID", rule.name) if rule.name else ""
    inner += "".join(element("AllowedHeader", one) for one in rule.headers)
    inner += "".join(element("AllowedMethod", one) for one in rule.methods)
    inner += "".join(element("AllowedOrigin", one) for one in rule.origins)
    inner += "".join(element("ExposeHeader", one) for one in rule.exposed)
    if rule.max_age_s is not None:
        inner += f"<MaxAgeSeconds>{rule.max_age_s}</MaxAgeSeconds>"
    return f"<CORSRule>{inner}</CORSRule>"
