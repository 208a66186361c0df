"""What keeps other sites out: where an unsafe request may come from, how often one may try, the headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import urlsplit

from billing.money import divide_up

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
IPV6_BITS = 64
PATH_CHARACTERS_MAX = 1000
SECOND_US = 10**6
WINDOW_US = 60 * SECOND_US

POLICY = "Content-Security-Policy"
HEADERS: Mapping[str, str] = {
    POLICY: (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def same_origin(method: str, headers: Mapping[str, str], *, portal_url: str) -> bool:
    """Whether a request may change something: it says that it comes from our own pages.

    Origin must be there and be ours, and Sec-Fetch-Site, where a browser sends it, must not contradict. The wrong turn
    is to trust 'same-site': the gateway serves members' pages from the same site.
    """
    if method in SAFE_METHODS:
        return True
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin", "")
    if portal_url:
        return origin == "{0.scheme}://{0.netloc}".format(urlsplit(portal_url))
    host = host_of(origin)
    return bool(host) and host == headers.get("Host")


def host_of(url: str) -> str:
    """Host and port as a URL has them; empty where it has none, or is nothing that can be read."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def own_path(text: str) -> str | None:
    """A path of this site as a redirect may name it; None for whatever a browser could take for another site's.

    Browsers read a backslash as a slash, drop tabs and ends of lines, and take two slashes for the name of a host.
    """
    if not (1 <= len(text) <= PATH_CHARACTERS_MAX and text.isascii() and text.isprintable()):
        return None
    if not text.startswith("/") or text.startswith("//") or set(text) & set('\\ "<>'):
        return None
    # Dots are taken out before a browser looks: /./ and /x/.. in front of a slash would leave two.
    return None if "//" in text.partition("?")[0] or "/." in text.partition("?")[0] else text


_FILE = re.compile(
    r"(/statements/[^/]+|/years/[^/]+)/bundle|(/proposals/[^/]+)/attachments/[^/]+"
    r"|(/treasurer)/(?:ledger|tariff|reports/[^/]+)|(/treasurer/payments)/[^/]+"
)


def page_of(path: str) -> str:
    """The page where a file of ours is asked for, in place of the file; of a page, the page itself.

    A browser keeps a file and stays where it was, so who is sent to one after signing in is left at the dead form.
    """
    place, _, query = path.partition("?")
    file = _FILE.fullmatch(place)
    if file is not None:
        return next(page for page in file.groups() if page is not None)
    kept = "&".join(one for one in query.split("&") if one.partition("=")[0] != "format")
    return f"{place}?{kept}" if kept else place


def neighbourhood(address: str) -> str:
    """What is counted as one: an IPv4 address, or the network of 64 bits that whoever has one of IPv6 has all of."""
    if ":" not in address:
        return address
    return str(ip_network((address, IPV6_BITS), strict=False))


class Attempts:
    """Counts tries by address in fixed windows of time, a minute if not told, for a bounded number of addresses."""

    def __init__(self, *, tries_max: int, addresses_max: int, window_us: int = WINDOW_US) -> None:
        self._tries_max = tries_max
        self._addresses_max = addresses_max
        self._length_us = window_us
        self._window_us = 0
        self._tries: dict[str, int] = {}

    def is_spent(self, address: str, *, now_us: int) -> bool:
        """Whether the address had its tries in this window; noting none."""
        return not self._is_over(now_us) and self._tries.get(address, 0) >= self._tries_max

    def left_s(self, *, now_us: int) -> int:
        """Whole seconds until the next window begins, rounded up."""
        return max(1, divide_up(self._window_us + self._length_us - now_us, SECOND_US))

    def allow(self, address: str, *, now_us: int) -> bool:
        """Note a try; False when the address had its tries. Of too many addresses the oldest is forgotten.

        To refuse a new one instead would let whoever has many addresses lock everybody else out.
        """
        if self._is_over(now_us):
            self._window_us = now_us
            self._tries.clear()
        tries = self._tries.get(address, 0)
        if tries >= self._tries_max:
            return False
        if not tries and len(self._tries) >= self._addresses_max:
            del self._tries[next(iter(self._tries))]
        self._tries[address] = tries + 1
        return True

    def _is_over(self, now_us: int) -> bool:
        """A clock that was set back begins a new window too, or nobody would get in until it has caught up."""
        return not 0 <= now_us - self._window_us < self._length_us
