"""Who is calling: a claim, a secret from the directory, a proof. Deny by default.

Signing keys are cached for a day's scope and dropped whenever the directory changes.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from gateway.call import Caller
from gateway.directory_copy import Key
from gateway.errors import s3_error
from gateway.settings import GatewaySettings
from gateway.sigv4.canonical import canonical_request
from gateway.sigv4.parse import Claim
from gateway.sigv4.signature import forget_keys, signing_key, verify, verify_form
from meter.usage import MemberStatus

SIGNING_KEYS_MAX = 4096
_ACTIVE = MemberStatus.ACTIVE


class KeyRing(Protocol):
    """Where open keys are found."""

    generation: int

    def known_key(self, access_key: str) -> Key | None:
        """The open key, from memory only."""
        ...

    async def key(self, access_key: str) -> Key | None:
        """The open key of that name."""
        ...


class Proof(NamedTuple):
    """A proven claim; only Authenticator makes one."""

    caller: Caller
    claim: Claim
    signing_key: bytes


class Authenticator:
    """Proves claims."""

    def __init__(self, keys: KeyRing, settings: GatewaySettings) -> None:
        self._keys = keys
        self._skew_s = settings.clock_skew_max_s
        self._presign_max_s = settings.presign_max_s
        self._signing_keys: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._generation = -1
        self._nobody = secrets.token_urlsafe(30)

    async def prove(
        self,
        claim: Claim,
        method: str,
        raw_path: str,
        raw_query: str,
        headers: Mapping[str, str],
        *,
        now_us: int,
    ) -> Proof:
        """The caller, or S3Error: InvalidAccessKeyId, SignatureDoesNotMatch, AccountProblem, …

        An unknown key takes as long as a known one: its signature is compared with that of a secret
        nobody has.
        """
        # Nearly every key is known, and then there is nothing to wait for.
        found = self._keys.known_key(claim.access_key) or await self._keys.key(claim.access_key)

        def check(key: bytes) -> None:
            canonical = canonical_request(
                method, raw_path, raw_query, headers,
                signed_headers=claim.signed_headers, payload_text=claim.payload_text,
            )  # fmt: skip
            verify(
                claim, canonical, key, now_us=now_us, skew_s=self._skew_s, presign_max_s=self._presign_max_s
            )

        return self._proven(claim, found, check)

    async def prove_form(self, claim: Claim, policy: str, *, now_us: int) -> Proof:
        """The signer of an upload form's policy; raises and takes time as prove does."""
        found = await self._keys.key(claim.access_key)

        def check(key: bytes) -> None:
            verify_form(
                claim, policy, key, now_us=now_us, skew_s=self._skew_s, presign_max_s=self._presign_max_s
            )

        return self._proven(claim, found, check)

    def _proven(self, claim: Claim, found: Key | None, check: Callable[[bytes], None]) -> Proof:
        """The proof, if the check passes with the claim's signing key; it runs for an unknown key too."""
        key = self._signing_key(
            claim, self._nobody if found is None else found.secret, known=found is not None
        )
        try:
            check(key)
        finally:
            if found is None:
                raise s3_error("InvalidAccessKeyId", AWSAccessKeyId=claim.access_key[:128])
        if found.member_status is not _ACTIVE:
            raise s3_error("AccountProblem")
        return Proof(Caller(found.member, found.member_name, found.access_key, found.scope), claim, key)

    def _signing_key(self, claim: Claim, secret: str, *, known: bool) -> bytes:
        if self._generation != self._keys.generation:
            self._signing_keys.clear()
            forget_keys()
            self._generation = self._keys.generation
        place = (claim.access_key, claim.scope_date, claim.region)
        key = self._signing_keys.get(place) if known else None
        if key is None:
            key = signing_key(secret, claim.scope_date, claim.region)
            if known:
                self._signing_keys[place] = key
                if len(self._signing_keys) > SIGNING_KEYS_MAX:
                    self._signing_keys.popitem(last=False)
        return key
