"""Backups in a bucket of an S3 system: `s3://BUCKET/PREFIX`, asked with boto3; a piece is one object.

Where it is and with which account boto3 finds as every tool does: its environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION) and files. The bucket must not be one of this co-op's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.backup.turn import one_turn
from meter.refusal import Refusal

SCHEME = "s3://"
_ATTEMPTS_MAX = 5
_TIMEOUT_S = 60
_ABSENT = ("404", "NoSuchKey", "NotFound")


class BucketTarget:
    """Names below a prefix of a bucket. S3 keeps an object whole or not at all, and durably once it has answered."""

    def __init__(self, place: str) -> None:
        self._place = place.rstrip("/")
        self._bucket, _, prefix = self._place.removeprefix(SCHEME).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        if not self._bucket:
            raise Refusal(f"{place} names no bucket; write s3://BUCKET or s3://BUCKET/PREFIX")
        config = Config(
            retries={"max_attempts": _ATTEMPTS_MAX, "mode": "standard"}, connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S, request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )  # fmt: skip
        try:
            self._s3: Any = boto3.client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise Refusal(f"{self._place} cannot be asked: {error}") from None

    def describe(self) -> str:
        """Its address."""
        return self._place

    def put(self, name: str, content: bytes) -> None:
        """One object."""
        try:
            self._s3.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)
        except (ClientError, BotoCoreError) as error:
            raise self._refusal("take", error) from None

    def get(self, name: str) -> bytes | None:
        """An object's bytes."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
            return bytes(answer["Body"].read())
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _ABSENT:
                return None
            raise self._refusal("give", error) from None

    def size(self, name: str) -> int | None:
        """An object's size."""
        try:
            return int(self._s3.head_object(Bucket=self._bucket, Key=self._prefix + name)["ContentLength"])
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _ABSENT:
                return None
            raise self._refusal("tell of", error) from None

    def names(self, prefix: str) -> Iterator[str]:
        """Objects below the prefix."""
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for one in page.get("Contents", ()):
                    yield str(one["Key"]).removeprefix(self._prefix)
        except (ClientError, BotoCoreError) as error:
            raise self._refusal("list", error) from None

    def remove(self, name: str) -> None:
        """Delete an object."""
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + name)
        except (ClientError, BotoCoreError) as error:
            raise self._refusal("remove", error) from None

    def settle(self) -> None:
        """What was answered is there."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """S3 has no locks: on this machine one at a time, and from two machines the operator sees to it."""
        with one_turn(self._place):
            yield

    def _refusal(self, what: str, error: Exception) -> Refusal:
        return Refusal(
            f"{self._place} does not {what} what is asked: {_code(error) or type(error).__name__}: {error}"
        )


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
