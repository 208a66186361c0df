"""The demo's clients: one boto3 client a member, in threads, for some seconds.

Run as `python -m deploy.demo.clients`: reads what to do as JSON from standard input, writes one JSON
line each half second, and last what every member counted. Needs the `demo` extra.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.client import Config

from deploy.demo.counting import CountingHooks, Counts
from deploy.demo.cut import cut_download
from deploy.demo.order import Account, Order, cut_bucket

MEBIBYTE = 2**20
PART_BYTES = 5 * MEBIBYTE
CUT_OBJECT_BYTES = 8 * MEBIBYTE
PROGRESS_EVERY_S = 0.5
READ_TIMEOUT_S = 60


class Member(threading.Thread):
    """One member at work until the time is over."""

    def __init__(self, order: Order, account: Account, *, until: float) -> None:
        super().__init__(name=account.name, daemon=True)
        self.counts = Counts()
        self.error: Exception | None = None
        self._account = account
        self._until = until
        # A demo's traffic, not a secret.
        self._random = random.Random(f"{order.seed}/{account.name}")  # noqa: S311
        self._bucket = f"demo-{account.name}"
        self._client = boto3.client(
            "s3",
            endpoint_url=order.endpoint,
            region_name=order.region,
            aws_access_key_id=account.access_key,
            aws_secret_access_key=account.secret_key,
            config=Config(
                # Otherwise a presigned URL would still be of version 2.
                signature_version="s3v4",
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path"},
            ),
        )
        CountingHooks(self.counts).attach(self._client)
        self._keys: list[str] = []
        self._number = 0
        self._payload = self._random.randbytes(4 * MEBIBYTE)

    def run(self) -> None:
        """Work, and remember what went wrong for the parent to raise."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  a thread's error must reach the one who joins it
            self.error = error

    def _work(self) -> None:
        self._client.create_bucket(Bucket=self._bucket)
        self._client.create_bucket(Bucket=cut_bucket(self._account.name))
        self._client.put_object(
            Bucket=cut_bucket(self._account.name), Key="long", Body=self._random.randbytes(CUT_OBJECT_BYTES)
        )
        self._upload()
        deeds: list[tuple[Callable[[], None], int]] = [
            (self._upload, 30), (self._download, 40), (self._range, 25), (self._list, 6),
            (self._multipart, 5), (self._delete, 8), (self._cut, 3),
        ]  # fmt: skip
        weights = [weight for _, weight in deeds]
        self._multipart()
        self._cut()
        while time.monotonic() < self._until:
            (deed,) = self._random.choices([deed for deed, _ in deeds], weights)
            deed()

    def _new_key(self) -> str:
        self._number += 1
        return f"shelf-{self._number % 7}/box {self._number:06d}"

    def _some_key(self) -> str:
        return self._random.choice(self._keys)

    def _upload(self) -> None:
        size_bytes = int(2 ** self._random.uniform(8, 21.9))
        start = self._random.randrange(len(self._payload) - size_bytes)
        key = self._new_key()
        self._client.put_object(Bucket=self._bucket, Key=key, Body=self._payload[start : start + size_bytes])
        self._keys.append(key)

    def _download(self) -> None:
        self._read(self._client.get_object(Bucket=self._bucket, Key=self._some_key()))

    def _range(self) -> None:
        last = self._random.randrange(1, 65536)
        self._read(
            self._client.get_object(Bucket=self._bucket, Key=self._some_key(), Range=f"bytes=0-{last}")
        )

    def _read(self, answer: dict[str, Any]) -> None:
        with answer["Body"] as body:
            while chunk := body.read(65536):
                self.counts.bytes_out += len(chunk)

    def _list(self) -> None:
        self._client.list_objects_v2(Bucket=self._bucket, Delimiter="/")
        self._client.head_object(Bucket=self._bucket, Key=self._some_key())

    def _multipart(self) -> None:
        key = self._new_key()
        upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]
        named: dict[str, Any] = {"Bucket": self._bucket, "Key": key, "UploadId": upload}
        parts = []
        for number in (1, 2):
            body = self._random.randbytes(PART_BYTES if number == 1 else MEBIBYTE)
            answer = self._client.upload_part(**named, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        if self._random.random() < 0.2:
            self._client.abort_multipart_upload(**named)
            return
        self._client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        self._keys.append(key)

    def _delete(self) -> None:
        if len(self._keys) < 8:
            return
        gone = [self._keys.pop(self._random.randrange(len(self._keys))) for _ in range(3)]
        self._client.delete_object(Bucket=self._bucket, Key=gone[0])
        self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in gone[1:]]}
        )

    def _cut(self) -> None:
        url = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": cut_bucket(self._account.name), "Key": "long"}
        )
        read_bytes = self._random.randrange(1, CUT_OBJECT_BYTES // 2)
        self.counts.cut_delivered += cut_download(url, read_bytes=read_bytes)
        self.counts.cuts += 1


def work(order: Order) -> dict[str, dict[str, int]]:
    """Run all members; what each counted. Raises the first error of a member."""
    until = time.monotonic() + order.seconds
    members = [Member(order, account, until=until) for account in order.accounts]
    for member in members:
        member.start()
    while any(member.is_alive() for member in members):
        members[0].join(PROGRESS_EVERY_S)
        _tell_progress(members, left_s=max(0.0, until - time.monotonic()))
    for member in members:
        member.join()
        if member.error is not None:
            raise member.error
    return {member.name: member.counts.document() for member in members}


def _tell_progress(members: list[Member], *, left_s: float) -> None:
    moved = sum(member.counts.bytes_in + member.counts.bytes_out for member in members)
    exchanges = sum(member.counts.exchanges for member in members)
    _tell({"left_s": round(left_s, 1), "exchanges": exchanges, "bytes": moved})
    if not members[0].is_alive():
        time.sleep(PROGRESS_EVERY_S / 10)


def _tell(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point."""
    told = json.load(sys.stdin)
    accounts = tuple(Account(**account) for account in told.pop("accounts"))
    try:
        counted = work(Order(**told, accounts=accounts))
    except Exception as error:  # noqa: BLE001  told to the parent, who shows the sentence
        _tell({"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    _tell({"counted": counted})


if __name__ == "__main__":
    main()
