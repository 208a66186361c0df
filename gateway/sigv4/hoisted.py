"""Headers that a presigned URL carries in its query. They are signed with it, so they count as headers."""

from __future__ import annotations

from collections.abc import Mapping

_CREDENTIAL_PARAMETERS = frozenset(
    (
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
    )
)


def hoisted_headers(query: Mapping[str, str]) -> dict[str, str]:
    """Headers that some clients move into a presigned URL's query (x-amz-meta-*, x-amz-acl, …).

    They are signed with the query. Checksums stay out: clients that hoist them computed them over
    an empty body, and the credential's own parameters are no headers.
    """
    return {
        lower: value
        for name, value in query.items()
        if (lower := name.lower()).startswith("x-amz-")
        and lower not in _CREDENTIAL_PARAMETERS
        and not lower.startswith(("x-amz-checksum-", "x-amz-sdk-"))
    }
