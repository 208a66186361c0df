"""The table of S3 operations: names, permanent codes, request classes. What is not in it has no name here."""

from __future__ import annotations

from enum import Enum


class Operation(Enum):
    """Placeholder so that the contract modules import; the table replaces it."""

    LIST_BUCKETS = 1
