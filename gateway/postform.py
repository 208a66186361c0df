"""A browser's upload form (multipart/form-data, RFC 7578), taken apart while it arrives. Pure; it reads no socket.

Fields come first and are small; the file streams through; what follows the file is looked at for the end of the
form and otherwise ignored, as S3 does. Every bound has a name here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import S3Error, invalid_argument, s3_error

FIELDS_BYTES_MAX = 20 * 1024
"""Everything before the file: fields, their headers, the policy. S3's own limit."""
FIELDS_MAX = 100
PART_HEADER_BYTES_MAX = 4 * 1024
REST_BYTES_MAX = 64 * 1024
"""What may follow the file: the end of the form, and a submit button or two."""
FILE_FIELD = "file"
_CONTENT_TYPE = re.compile(
    r"""multipart/form-data\s*;(?:[^"]*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))\s*(?:;.*)?""",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r';\s*([A-Za-z*]+)="((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Form:
    """The fields before the file; names in lower case, for S3 does not tell them apart."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    """Of the file, without its path."""


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form's Content-Type; None for what is no form."""
    match = _CONTENT_TYPE.fullmatch(content_type.strip())
    if match is None:
        return None
    text = match[1] or match[2]
    return text.encode() if text.isascii() and text.isprintable() else None


class FormParser:
    """Fed with the body's pieces in order; gives the file's pieces back."""

    def __init__(self, boundary: bytes) -> None:
        self.form = Form()
        self.file_begun = False
        self.closed = False
        """The form's own end was seen: without it, it was cut off."""
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no line break of its own (RFC 2046, section 5.1.1).
        self._buffer = bytearray(b"\r\n")
        self._consumed = 0
        self._name = ""
        self._step: Callable[[list[bytes]], bool] = self._start

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece in. Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError, InvalidArgument."""
        self._buffer += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        if not self.file_begun and self._consumed + len(self._buffer) > FIELDS_BYTES_MAX:
            raise s3_error("MaxPostPreDataLengthExceededError")
        return pieces

    def finish(self) -> None:
        """The body is over. Raises MalformedPOSTRequest if the form is not, InvalidArgument for one without a file."""
        if not self.closed:
            raise malformed_form()
        if not self.file_begun:
            raise invalid_argument(FILE_FIELD, "", "POST requires exactly one file upload per request.")

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._consumed += size
        return taken

    def _start(self, pieces: list[bytes]) -> bool:
        del pieces
        if len(self._buffer) < len(self._delimiter):
            return False
        if self._take(len(self._delimiter)) != self._delimiter:
            raise malformed_form()
        self._step = self._after_delimiter
        return True

    def _after_delimiter(self, pieces: list[bytes]) -> bool:
        del pieces
        if len(self._buffer) < 2:
            return False
        match self._take(2):
            case b"\r\n":
                self._step = self._headers
            case b"--":
                self.closed = True
                self._step = self._rest
            case _:
                raise malformed_form()
        return True

    def _headers(self, pieces: list[bytes]) -> bool:
        del pieces
        end = self._buffer.find(b"\r\n\r\n", 0, PART_HEADER_BYTES_MAX)
        if end < 0:
            if len(self._buffer) >= PART_HEADER_BYTES_MAX:
                raise malformed_form()
            return False
        name, filename = _disposition(self._take(end + 4))
        if name == FILE_FIELD:
            self.form.filename = _last_component(filename)
            if self._consumed > FIELDS_BYTES_MAX:
                raise s3_error("MaxPostPreDataLengthExceededError")
            self.file_begun = True
            self._step = self._file
            return True
        if name in self.form.fields:
            raise invalid_argument(name, "", f"The form field {name[:64]} was sent more than once.")
        if len(self.form.fields) >= FIELDS_MAX:
            raise malformed_form()
        self._name = name
        self._step = self._value
        return True

    def _value(self, pieces: list[bytes]) -> bool:
        del pieces
        end = self._buffer.find(self._delimiter)
        if end < 0:
            return False
        try:
            self.form.fields[self._name] = self._take(end).decode()
        except UnicodeDecodeError:
            raise invalid_argument(self._name, "", "A form field must be UTF-8 text.") from None
        self._take(len(self._delimiter))
        self._step = self._after_delimiter
        return True

    def _file(self, pieces: list[bytes]) -> bool:
        end = self._buffer.find(self._delimiter)
        # What may be the beginning of a delimiter waits for its rest.
        sure = end if end >= 0 else len(self._buffer) - len(self._delimiter) + 1
        if sure > 0:
            pieces.append(self._take(sure))
        if end < 0:
            return False
        self._step = self._after_file
        return True

    def _after_file(self, pieces: list[bytes]) -> bool:
        del pieces
        size = len(self._delimiter)
        if len(self._buffer) < size + 2:
            return False
        if bytes(self._buffer[size : size + 2]) not in (b"--", b"\r\n"):
            raise malformed_form()
        self._consumed = 0
        self._step = self._rest
        return True

    def _rest(self, pieces: list[bytes]) -> bool:
        del pieces
        end = self._delimiter + b"--"
        self.closed = self.closed or end in self._buffer
        self._take(max(0, len(self._buffer) - len(end) + 1))
        if self.file_begun and self._consumed > REST_BYTES_MAX:
            raise malformed_form()
        return False


def malformed_form() -> S3Error:
    """MalformedPOSTRequest."""
    return s3_error("MalformedPOSTRequest")


def _disposition(raw: bytes) -> tuple[str, str]:
    """Name (lower case) and file name of a part, from its Content-Disposition."""
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise malformed_form() from None
    found = [line.partition(":")[2] for line in lines if line.lower().startswith("content-disposition:")]
    if len(found) != 1 or not found[0].strip().lower().startswith("form-data"):
        raise malformed_form()
    parameters = {name.lower(): _unescaped(value) for name, value in _PARAMETER.findall(found[0])}
    name = parameters.get("name", "").lower()
    if not name:
        raise malformed_form()
    return name, parameters.get("filename", "")


def _unescaped(value: str) -> str:
    """Browsers write a quotation mark as %22, older clients with a backslash (HTML standard, multipart/form-data)."""
    return value.replace('\\"', '"').replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _last_component(filename: str) -> str:
    """Some browsers send the whole path, with either slash."""
    return filename.replace("\\", "/").rpartition("/")[2]
