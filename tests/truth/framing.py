"""HTTP/1.1 framing as the relay reads it: where a head ends and how many body bytes follow. Pure.

Written for the relay alone, from RFC 9112, so that no line of the gateway counts on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or an answer's head."""

    first: str
    """The request line or the status line."""
    headers: dict[str, str]
    raw: bytes

    @property
    def method(self) -> str:
        return self.first.split(" ", 1)[0]

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    def body_bytes(self, *, request: str | None = None) -> int:
        """Bytes of the body; for an answer, `request` is the method it answers (section 6.3)."""
        assert "transfer-encoding" not in self.headers, "nobody here chunks"
        if request == "HEAD" or (request is not None and self.status in (204, 304)):
            return 0
        return int(self.headers.get("content-length", "0"))


def read_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head at the start of the data and what follows it; None while it is not whole."""
    head, end, rest = data.partition(HEAD_END)
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(first, headers, head + end), rest
