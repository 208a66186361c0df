"""How every process of Weir writes its log: a line an event for people, or JSON for programs; never a secret.

What no line should hold is not logged in the first place. This is the second net: what has the shape of a secret is
taken out of every line, a trace's too, and what a client sent can break no line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from enum import StrEnum

PLAIN = "%(asctime)s %(name)s %(levelname)s %(message)s"
HIDDEN = "********"
_SECRETS = (
    # Of S3: an Authorization header's and a link's signature, and a session's token.
    re.compile(
        r"(Signature=|X-Amz-Signature=|X-Amz-Security-Token=|x-amz-security-token: ?)[^\s&\"',]+",
        re.IGNORECASE,
    ),
    re.compile(r"(Authorization['\"]?[:=] ?['\"]?)[^\r\n'\"]+", re.IGNORECASE),
    # A customer's own key, and cookies.
    re.compile(r"(customer-key['\"]?[:=] ?['\"]?)[A-Za-z0-9+/=]+", re.IGNORECASE),
    re.compile(r"((?:Set-)?Cookie['\"]?[:=] ?['\"]?)[^\r\n'\"]+", re.IGNORECASE),
    # A password in an address, and one-time links to the portal.
    re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+(?=@)"),
    re.compile(r"(/login/)[A-Za-z0-9_-]{16,}"),
    # A member's token for the API, which bears its beginning for such finders, and a provider's code on its way back.
    re.compile(r"(\bweir_[0-9a-f]{16}_)[A-Za-z0-9_-]{20,}"),
    re.compile(r"([?&](?:code|state)=)[^\s&\"']{8,}"),
    # The portal's own cookies, also where the header they came in is none.
    re.compile(r"(\b(?:__Host-weir|__Secure-weir|weir_session|weir_entry|weir_link)[a-z-]*=)[^\s;,'\"]+"),
    re.compile(r"((?:password|passphrase|secret_key|secret)['\"]? ?[:=] ?['\"]?)[^\s'\"&,]+", re.IGNORECASE),
)
_BREAKS = str.maketrans({"\r": "\\r", "\x1b": "\\x1b", "\0": "\\0", "\x85": "\\x85", "\u2028": "\\u2028"})


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"


def without_secrets(text: str) -> str:
    """The text with everything hidden that has the shape of a secret."""
    for shape in _SECRETS:
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    return text


class PlainLines(logging.Formatter):
    """For people: UTC, name, level, message; a trace on lines of its own that begin with a blank."""

    def __init__(self) -> None:
        super().__init__(PLAIN)
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        """One line, whatever was logged."""
        return super().formatMessage(record).translate(_BREAKS).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the trace where there is one."""
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """For programs: an object a line with time (UTC, microseconds), level, logger, message and, of an error, its trace."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        whole_s, micros = divmod(int(record.created * 1_000_000), 1_000_000)
        told = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole_s))}.{micros:06d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            "process": record.process,
        }
        if record.exc_info:
            told["trace"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=True)


def begin_log(kind: LogFormat) -> None:
    """Log to stderr from now on; whoever started us keeps it in a file that stays bounded."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind is LogFormat.JSON else PlainLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
