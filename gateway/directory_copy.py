"""What a worker knows of the directory, in memory: keys, buckets, caps, rates and storage engines. It asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway import store
from gateway.call import Bucket
from gateway.changes import Known, News
from gateway.engine_store import EngineRow
from gateway.rates import OwnRates
from gateway.scope import KeyScope, parse_scope
from gateway.store import KeyRow
from gateway.vault import Vault
from meter.ids import BucketId, MemberId
from meter.usage import MemberStatus


@dataclass(frozen=True, slots=True)
class Key:
    """An open access key, its secret unsealed."""

    access_key: str
    member: MemberId
    member_name: str
    member_status: MemberStatus
    secret: str
    scope: KeyScope | None = None


class DirectoryCopy:
    """The copy, and how what was read changes it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keys: dict[str, KeyRow] = {}
        self._open_keys: dict[str, Key] = {}
        self._buckets: dict[str, Bucket] = {}
        self._numbered: dict[BucketId, Bucket] = {}
        """By number, those that had lost their name when the directory was last read too: requests may be under way."""
        self._parting: set[BucketId] = set()
        self.egress_caps: dict[MemberId, int] = {}
        """Hard caps of members who set one: bytes out in a month."""
        self.rates: dict[MemberId, OwnRates] = {}
        """How fast members may go for whom something of their own was set."""
        self.engines: Mapping[str, EngineRow] = {store.ON_DISK.name: store.ON_DISK}
        """Storage engines by name, closed ones too; their secrets are sealed."""
        self.engines_at: frozenset[str] = frozenset()
        """Their locations."""
        self.generation = 0
        """Grows with each change of keys: caches derived from secrets are dropped when it does."""

    def _key_here(self, access_key: str) -> Key | None:
        found = self._open_keys.get(access_key)
        if found is None and (row := self._keys.get(access_key)) is not None:
            secret = self._vault.reveal(row.secret, access_key=access_key)
            found = Key(
                access_key, row.member, row.member_name, row.member_status, secret, parse_scope(row.scope)
            )
            self._open_keys[access_key] = found
        return found

    def bucket_numbered(self, number: BucketId) -> Bucket | None:
        """The bucket of that number, from memory only."""
        return self._numbered.get(number)

    def _know(self, bucket: Bucket) -> Bucket:
        self._buckets[bucket.name] = self._numbered[bucket.id] = bucket
        return bucket

    def known_buckets(self) -> list[Bucket]:
        """All buckets of all members, from memory only."""
        return list(self._buckets.values())

    def _let_go(self, name: str) -> Bucket | None:
        """The bucket loses its name; its number stays until the next news."""
        bucket = self._buckets.pop(name, None)
        if bucket is not None:
            self._parting.add(bucket.id)
        return bucket

    def _all(self) -> Known:
        return Known(
            list(self._keys.values()), list(self._buckets.values()), dict(self.egress_caps),
            list(self.engines.values()), dict(self.rates),
        )  # fmt: skip

    def _apply(self, known: Known) -> None:
        self._keys = {row.access_key: row for row in known.keys if row.revoked_us is None}
        self._open_keys.clear()
        before = self._buckets.values()
        self._buckets = {bucket.name: bucket for bucket in known.buckets}
        self._numbered = {bucket.id: bucket for bucket in (*before, *known.buckets)}
        self.egress_caps = dict(known.egress_caps)
        self.rates = dict(known.rates)
        self.engines = {row.name: row for row in known.engines} or {store.ON_DISK.name: store.ON_DISK}
        self.engines_at = frozenset(row.location for row in known.engines if row.location)
        self.generation += 1

    def _apply_news(self, found: News) -> None:
        wanted, known = found
        keys = {row.access_key: row for row in known.keys if row.revoked_us is None}
        for gone in (wanted.access_keys | {row.access_key for row in known.keys}) - keys.keys():
            self._keys.pop(gone, None)
        self._keys |= keys
        for name in wanted.access_keys | {row.access_key for row in known.keys}:
            self._open_keys.pop(name, None)
        leaving = [one for name in wanted.buckets if (one := self._let_go(name)) is not None]
        for number in self._parting:
            self._numbered.pop(number, None)
        for bucket in known.buckets:
            self._know(bucket)
        self._parting = {one.id for one in leaving} - {bucket.id for bucket in known.buckets}
        for member in wanted.members:
            self.egress_caps.pop(member, None)
            self.rates.pop(member, None)
        self.egress_caps |= known.egress_caps
        self.rates |= known.rates
        if wanted.access_keys or wanted.members:
            self.generation += 1
