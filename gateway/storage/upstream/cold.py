"""An upstream asked slowly, with boto3 in threads: its buckets, what lies in them, and its own log of usage.

Members' requests never come this way; gateway/storage/upstream/client.py is theirs.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from gateway.engine_store import EngineRow
from gateway.reconcile import Used
from gateway.storage.abilities import constraint_of
from gateway.storage.upstream.requests import object_path
from gateway.storage.upstream.signing import Account, signed_headers
from gateway.vault import Vault
from meter.refusal import Refusal

ATTEMPTS_MAX = 3
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
DELETE_KEYS_MAX = 1000
BREAK_OFF_BYTES = 128 * 1024
FAILURES = (BotoCoreError, ClientError)
Step = Callable[[int], None]
"""Told how many objects, versions or parts more were seen."""


class Cold:
    """One engine's account. Every method waits for the network, so it runs in a thread. Raises Refusal."""

    def __init__(self, engine: EngineRow, secret: str) -> None:
        self.name = engine.name
        self._engine = engine
        self._credentials = Credentials(engine.access_key, secret)
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=engine.endpoint,
            region_name=engine.region,
            aws_access_key_id=engine.access_key,
            aws_secret_access_key=secret,
            config=Config(
                retries={"max_attempts": ATTEMPTS_MAX, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @classmethod
    def of(cls, engine: EngineRow, vault: Vault) -> Cold:
        """The engine as the directory has it. Raises Refusal when its secret does not open."""
        return cls(engine, vault.reveal(engine.secret, access_key=engine.sealed_under))

    def close(self) -> None:
        """Let its connections go."""
        self.s3.close()

    def bucket_names(self) -> set[str]:
        """All buckets the account shows."""
        try:
            return {one["Name"] for one in self.s3.list_buckets().get("Buckets", ())}
        except FAILURES as error:
            raise self.refusal("be asked for its buckets", error) from error

    def create_bucket(
        self, name: str, *, with_lock: bool = False, features: Mapping[str, bool] | None = None
    ) -> None:
        """Make a bucket there; one that is ours already is left as it is. features: in place of the engine's own."""
        more: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if with_lock else {}
        constraint = constraint_of(
            self._engine.region, self._engine.features if features is None else features
        )
        if constraint:
            more["CreateBucketConfiguration"] = {"LocationConstraint": constraint}
        try:
            self.s3.create_bucket(Bucket=name, **more)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise self.refusal(f"make the bucket {name}", error) from error
        except BotoCoreError as error:
            raise self.refusal(f"make the bucket {name}", error) from error

    def empty_bucket(self, name: str, *, step: Step = lambda _: None) -> None:
        """Remove all that is in a bucket, and the bucket; one that is gone already is no error."""
        try:
            for upload in self._uploads(name):
                self.s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
            batch: list[dict[str, str]] = []
            for key, version_id, _, _ in self._versions(name):
                batch.append({"Key": key} | ({"VersionId": version_id} if version_id else {}))
                if len(batch) == DELETE_KEYS_MAX:
                    self._delete(name, batch, step)
                    batch = []
            self._delete(name, batch, step)
            self.s3.delete_bucket(Bucket=name)
        except ClientError as error:
            if code_of(error) != "NoSuchBucket":
                raise self.refusal(f"empty the bucket {name}", error) from error
        except BotoCoreError as error:
            raise self.refusal(f"empty the bucket {name}", error) from error

    def _delete(self, name: str, batch: list[dict[str, str]], step: Step) -> None:
        if not batch:
            return
        answer = self.s3.delete_objects(
            Bucket=name, Delete={"Objects": batch, "Quiet": True}, BypassGovernanceRetention=True
        )
        for refused in answer.get("Errors", ()):
            raise Refusal(f"{self.name} does not delete {refused['Key']!r} in {name}: {refused['Message']}")
        step(len(batch))

    def _versions(self, name: str) -> Iterator[tuple[str, str, int, bool]]:
        """(key, version id, bytes, is latest) of all; markers too, with 0 bytes."""
        if not self._engine.features.get("versioning", True):
            yield from self._objects(name)
            return
        try:
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=name):
                for one in page.get("Versions", ()):
                    yield one["Key"], one["VersionId"], one["Size"], one["IsLatest"]
                for one in page.get("DeleteMarkers", ()):
                    yield one["Key"], one["VersionId"], 0, False
        except ClientError as error:
            if code_of(error) != "NotImplemented":
                raise
            yield from self._objects(name)

    def _objects(self, name: str) -> Iterator[tuple[str, str, int, bool]]:
        for one in self._pages("list_objects_v2", name, "Contents"):
            yield one["Key"], "", one["Size"], True

    def _uploads(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._pages("list_multipart_uploads", name, "Uploads")
        except ClientError as error:
            # Some systems answer so where there is none, and some where they do not know the question.
            if code_of(error) not in ("NoSuchUpload", "NotImplemented"):
                raise

    def _pages(self, operation: str, name: str, element: str, **more: str) -> Iterator[dict[str, Any]]:
        for page in self.s3.get_paginator(operation).paginate(Bucket=name, **more):
            yield from page.get(element, ())

    def usage_log(self, *, uid: str) -> list[Used]:
        """What Ceph RGW logged of an account since its log was begun or trimmed, bucket by bucket.

        The admin operations interface wants the capability usage=read of the account that asks.
        """
        url = (
            f"{self._engine.endpoint}/admin/usage?format=json&show-entries=True&show-summary=False&uid={uid}"
        )
        request = AWSRequest("GET", url)
        S3SigV4Auth(self._credentials, "s3", self._engine.region).add_auth(request)
        asked = urllib.request.Request(url, headers=dict(request.headers.items()))  # noqa: S310 - the operator named it
        try:
            with urllib.request.urlopen(asked, timeout=READ_TIMEOUT_S) as answer:  # noqa: S310
                return parse_usage(json.load(answer))
        except urllib.error.HTTPError as error:
            raise Refusal(
                f"{self.name} answers {error.code} when it is asked for its usage log; the account needs"
                f" `radosgw-admin caps add --uid={uid} --caps=usage=read`, and rgw_enable_usage_log"
            ) from None
        except (OSError, ValueError) as error:
            raise Refusal(f"{self.name} does not tell its usage log: {error}") from None

    def break_off(self, bucket: str, key: str) -> None:
        """Begin to put an object, its length announced and its bytes unsigned as the hot path does, and hang up midway."""
        address = urlsplit(self._engine.endpoint)
        kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
        account = Account(self._credentials.access_key, self._credentials.secret_key, self._engine.region)
        path = object_path(bucket, key)
        now_us = time.time_ns() // 1000
        headers = signed_headers(account, "PUT", path, "", {"host": address.netloc}, now_us=now_us)
        try:
            with closing(kind(address.hostname or "", address.port, timeout=READ_TIMEOUT_S)) as line:
                line.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
                for name, value in (*headers.items(), ("content-length", str(2 * BREAK_OFF_BYTES))):
                    line.putheader(name, value)
                line.endheaders(bytes(BREAK_OFF_BYTES))
        except (OSError, HTTPException) as error:
            raise self.refusal("be sent a part of an object", error) from None

    def refusal(self, what: str, error: Exception) -> Refusal:
        """A person's sentence for what the upstream, or the way there, refused."""
        return Refusal(f"the engine {self.name} could not {what}: {error}")


def parse_usage(document: dict[str, Any]) -> list[Used]:
    """Sums by bucket and category of the entries of /admin/usage."""
    sums: dict[tuple[str, str], list[int]] = {}
    for owner in document.get("entries", ()):
        for bucket in owner.get("buckets", ()):
            for one in bucket.get("categories", ()):
                counts = (one["ops"], one["successful_ops"], one["bytes_sent"], one["bytes_received"])
                kept = sums.setdefault((bucket["bucket"], one["category"]), [0, 0, 0, 0])
                for place, count in enumerate(counts):
                    kept[place] += count
    return [Used(*key, *counts) for key, counts in sorted(sums.items())]


def code_of(error: ClientError) -> str:
    """The S3 error code an upstream answered with."""
    return str(error.response.get("Error", {}).get("Code", ""))
