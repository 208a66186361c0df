"""Request headers that would change what an operation means and that we do not carry out.

They are refused by name: to accept and ignore encryption with a key of ours would be a lie. Harmless habits
of clients (storage class STANDARD) pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import s3_error
from gateway.listing import owner_id

_REFUSED_PREFIXES = (
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
)
_REFUSED = frozenset(
    (
        "x-amz-write-offset-bytes",
        "x-amz-if-match-last-modified-time",
        "x-amz-if-match-size",
        "x-amz-mfa",
    )
)
_OF_CUSTOMERS_KEYS = tuple(
    f"x-amz-{prefix}server-side-encryption-customer-" for prefix in ("", "copy-source-")
)


_ORDINARY = frozenset(
    (
        "host", "authorization", "x-amz-date", "x-amz-content-sha256", "user-agent", "accept", "accept-encoding",
        "amz-sdk-invocation-id", "amz-sdk-request", "connection", "content-length", "x-amz-checksum-mode",
    )
)  # fmt: skip
"""Of nearly every request, and never refused."""


def refuse_unsupported(headers: Mapping[str, str], *, names_class: bool = False) -> None:
    """Raises NotImplemented that names the header, or InvalidStorageClass unless a class may be named."""
    for name, value in headers.items():
        if name in _ORDINARY:
            continue
        lower = name.lower()
        if not lower.startswith("x-amz-"):
            continue
        if lower in _REFUSED or (
            lower.startswith(_REFUSED_PREFIXES) and not lower.startswith(_OF_CUSTOMERS_KEYS)
        ):
            raise s3_error("NotImplemented", Header=lower, Value=value[:200])
        if lower == "x-amz-storage-class" and value != "STANDARD" and not names_class:
            raise s3_error("InvalidStorageClass", StorageClassRequested=value[:200])


def check_expected_owner(headers: Mapping[str, str], *, owner: int, prefix: str = "x-amz-") -> None:
    """x-amz-expected-bucket-owner must name the owner, or it is AccessDenied."""
    expected = headers.get(f"{prefix}expected-bucket-owner")
    if expected is not None and expected != owner_id(owner):
        raise s3_error("AccessDenied", "The bucket is not owned by the expected owner.")
