"""A bucket as a website: its configuration, which page a path means, and where it sends visitors on. Pure.

It knows no storage and no rights: whether a page is there, and may be read, it is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from http import HTTPStatus

from gateway.errors import S3Error, invalid_argument, s3_error
from gateway.markup import document, element, url_encode
from gateway.names import KEY_BYTES_MAX, is_bucket_name
from gateway.tree import Node, malformed, parse_tree

ROUTING_RULES_MAX = 50
"""S3's own limit."""
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?", re.ASCII)
_REDIRECT_PARTS = ("HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith")


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where to go instead; what is empty stays as it was asked."""

    host: str = ""
    protocol: str = ""
    status: int = 301
    key_prefix: str | None = None
    """Stands in place of the prefix that the condition names."""
    key: str | None = None

    def location(self, key: str, prefix: str, host: str) -> str:
        """The address for a visitor who asked for key, on that host; prefix is the condition's."""
        if self.key is not None:
            key = self.key
        elif self.key_prefix is not None:
            key = self.key_prefix + key.removeprefix(prefix)
        if not self.host and not self.protocol:
            return path_of(key)
        # Without a scheme an address keeps the visitor's own (RFC 3986, section 4.2).
        scheme = f"{self.protocol}:" if self.protocol else ""
        return f"{scheme}//{self.host or host}{path_of(key)}"


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A redirect and when it applies: all that is named must hold."""

    redirect: Redirect
    prefix: str = ""
    error: int | None = None
    """Only after this status; None: before anything is looked for."""


@dataclass(frozen=True, slots=True)
class Website:
    """A bucket's WebsiteConfiguration: either everything goes elsewhere, or there is an index."""

    everything_to: Redirect | None = None
    index: str = ""
    error_key: str = ""
    rules: tuple[RoutingRule, ...] = ()

    def page(self, key: str) -> str:
        """The key of the page behind a path."""
        return key + self.index if not key or key.endswith("/") else key

    def rule(self, key: str, error: int | None) -> RoutingRule | None:
        """The first rule for a path, before it is looked for (error None) or after that failed."""
        return next((one for one in self.rules if one.error == error and key.startswith(one.prefix)), None)


def bucket_of_host(host: str, *, suffix: str, domains: str) -> str:
    """The bucket whose website that Host is; empty for no website's host.

    suffix and domains are the settings website_suffix and website_domains.
    """
    name = host.lower()
    if _HOST.fullmatch(name) is None:
        return ""
    name = name.partition(":")[0]
    ending = f".{suffix.lower()}"
    if suffix and name.endswith(ending):
        bucket = name.removesuffix(ending)
        return bucket if is_bucket_name(bucket) else ""
    return name if name in _domains(domains) else ""


def parse_website(body: bytes) -> Website:
    """Read a WebsiteConfiguration. Raises MalformedXML, InvalidArgument, InvalidRequest."""
    root = parse_tree(body, "WebsiteConfiguration")
    root.holds_only("RedirectAllRequestsTo", "IndexDocument", "ErrorDocument", "RoutingRules")
    everything = root.child("RedirectAllRequestsTo")
    if everything is not None:
        if len(root.children) > 1:
            raise invalid_argument(
                "RedirectAllRequestsTo",
                "",
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            )
        everything.holds_only("HostName", "Protocol")
        if not (everything.one("HostName") or "").strip():
            raise malformed()
        return Website(everything_to=Redirect(_host(everything), _protocol(everything)))
    suffix = _only_text(root, "IndexDocument", "Suffix")
    if suffix is None:
        raise invalid_argument(
            "IndexDocument",
            "",
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
        )
    if not suffix or "/" in suffix or not _is_key(suffix):
        raise invalid_argument("IndexDocument", suffix, "The IndexDocument Suffix is not well formed")
    error_key = _only_text(root, "ErrorDocument", "Key")
    if error_key is not None and not _is_key(error_key):
        raise invalid_argument("ErrorDocument", error_key, "The ErrorDocument Key is not well formed")
    return Website(None, suffix, error_key or "", _rules(root.child("RoutingRules")))


def website_document(site: Website) -> bytes:
    """The configuration as a document."""
    if site.everything_to is not None:
        to = site.everything_to
        inner = element("HostName", to.host) + (element("Protocol", to.protocol) if to.protocol else "")
        return document("WebsiteConfiguration", f"<RedirectAllRequestsTo>{inner}</RedirectAllRequestsTo>")
    inner = f"<IndexDocument>{element('Suffix', site.index)}</IndexDocument>"
    if site.error_key:
        inner += f"<ErrorDocument>{element('Key', site.error_key)}</ErrorDocument>"
    if site.rules:
        inner += f"<RoutingRules>{''.join(map(_rule_element, site.rules))}</RoutingRules>"
    return document("WebsiteConfiguration", inner)


@lru_cache(maxsize=256)
def stored_website(text: str) -> Website:
    """The configuration of a document we wrote ourselves."""
    return parse_website(text.encode())


def path_of(key: str) -> str:
    """The key as an absolute path of the same host, and of no other: '//' at its beginning would name a host."""
    path = "/" + url_encode(key)
    return path if not path.startswith("//") else "/%2F" + path[2:]


def error_page(error: S3Error, *, request_id: str) -> bytes:
    """The error as a page for people; nothing of the request stands in it unescaped."""
    title = f"{error.status} {HTTPStatus(error.status).phrase}"
    facts = {"Code": error.code, "Message": error.message} | error.extra | {"RequestId": request_id}
    lines = "".join(f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in facts.items())
    return (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{lines}</ul>\n<hr/>\n"
        "</body>\n</html>\n"
    ).encode("utf-8", "backslashreplace")


@lru_cache(maxsize=4)
def _domains(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def _rules(node: Node | None) -> tuple[RoutingRule, ...]:
    if node is None:
        return ()
    node.holds_only("RoutingRule")
    if not node.children:
        raise malformed()
    if len(node.children) > ROUTING_RULES_MAX:
        raise s3_error(
            "InvalidRequest",
            f"{len(node.children)} routing rules provided, the number of routing rules in a website configuration "
            f"is limited to {ROUTING_RULES_MAX}.",
        )
    return tuple(map(_rule, node.children))


def _rule(node: Node) -> RoutingRule:
    node.holds_only("Condition", "Redirect")
    condition, redirect = node.child("Condition"), node.child("Redirect")
    if redirect is None or not redirect.children:
        raise malformed()
    redirect.holds_only(*_REDIRECT_PARTS)
    prefix, error = "", None
    if condition is not None:
        condition.holds_only("KeyPrefixEquals", "HttpErrorCodeReturnedEquals")
        if not condition.children:
            raise s3_error(
                "InvalidRequest",
                "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.",
            )
        prefix = condition.one("KeyPrefixEquals") or ""
        error = _status(condition.one("HttpErrorCodeReturnedEquals"), "error", "4XX or 5XX", 400, 599)
    key_prefix, key = redirect.one("ReplaceKeyPrefixWith"), redirect.one("ReplaceKeyWith")
    if key_prefix is not None and key is not None:
        raise s3_error("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    if not all(_is_key(text) for text in (prefix, key_prefix or "", key or "")):
        raise malformed()
    status = _status(redirect.one("HttpRedirectCode"), "redirect", "3XX except 300", 301, 399)
    to = Redirect(_host(redirect), _protocol(redirect), status or 301, key_prefix, key)
    return RoutingRule(to, prefix, error)


def _only_text(root: Node, outer: str, inner: str) -> str | None:
    node = root.child(outer)
    if node is None:
        return None
    node.holds_only(inner)
    return node.one(inner) or ""


def _is_key(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) <= KEY_BYTES_MAX and "\x00" not in text


def _host(node: Node) -> str:
    host = (node.one("HostName") or "").strip().lower()
    if host and _HOST.fullmatch(host) is None:
        raise s3_error("InvalidRequest", "HostName must be a host's name, perhaps with a port.")
    return host


def _protocol(node: Node) -> str:
    protocol = (node.one("Protocol") or "").strip().lower()
    if protocol not in ("", "http", "https"):
        raise s3_error(
            "InvalidRequest",
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.",
        )
    return protocol


def _status(text: str | None, kind: str, valid: str, least: int, most: int) -> int | None:
    if text is None:
        return None
    digits = text.strip()
    # 304 has no address to go to, and 305 and 306 are no more (RFC 9110, section 15.4).
    is_number = len(digits) == 3 and digits.isascii() and digits.isdigit()
    if is_number and least <= int(digits) <= most and int(digits) not in (304, 305, 306):
        return int(digits)
    raise s3_error(
        "InvalidRequest",
        f"The provided HTTP {kind} code ({digits[:16]}) is not valid. Valid codes are {valid}.",
    )


def _rule_element(rule: RoutingRule) -> str:
    condition = element("KeyPrefixEquals", rule.prefix) if rule.prefix else ""
    if rule.error is not None:
        condition += f"<HttpErrorCodeReturnedEquals>{rule.error}</HttpErrorCodeReturnedEquals>"
    to = rule.redirect
    parts = (to.host, str(to.status), to.protocol, to.key_prefix, to.key)
    inner = "".join(
        element(name, text)
        for name, text in zip(_REDIRECT_PARTS, parts, strict=True)
        if text or (text is not None and name.startswith("Replace"))
    )
    condition = f"<Condition>{condition}</Condition>" if condition else ""
    return f"<RoutingRule>{condition}<Redirect>{inner}</Redirect></RoutingRule>"
