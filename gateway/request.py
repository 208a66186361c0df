"""The head of a request, read once: what everybody later goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.connection import Incoming
from gateway.route import parse_query, split_target
from gateway.sigv4.hoisted import hoisted_headers
from gateway.sigv4.parse import join_headers


class Request(NamedTuple):
    """The head of a request, read once."""

    method: str
    raw_path: str
    raw_query: str
    headers: dict[str, str]
    """As they arrived: lower-case names; repeated ones joined by ','."""
    effective: Mapping[str, str]
    """With those a presigned URL carries in its query; a real header wins."""


def read_head(raw: Incoming) -> Request:
    """Method, raw target and headers. Raises S3Error for a target or headers with two meanings."""
    path, query = split_target(raw.raw_path)
    headers = join_headers(raw.headers.items())
    effective = hoisted_headers(parse_query(query)) | headers if "X-Amz-Signature" in query else headers
    return Request(raw.method, path, query, headers, effective)
