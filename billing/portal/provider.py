"""Asks an OpenID Connect provider: where its pages are, its keys, and a token for a code. Bounded in bytes and in time.

Nothing is followed to another address, and nothing that was sent or answered is logged.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import aiohttp

from billing.portal import account
from billing.portal.account import Provider, ProviderAway, UnknownKey
from billing.portal.entry import derived_text
from billing.settings import BillingSettings
from meter.refusal import Refusal

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

log = logging.getLogger("billing.provider")
BACK = "/login/account/back"
CONNECTIONS_MAX = 8
KEYS_PAUSE_US = 60 * 10**6
"""Keys are asked for anew, because a token is by one we do not know, once in so long at most."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was asked last."""

    provider: Provider
    keys: KeySet
    asked_us: int


class Outside:
    """The one provider that the co-op named."""

    def __init__(self, settings: BillingSettings, clock: Callable[[], int]) -> None:
        """Raises Refusal where the extra is not installed."""
        if not account.IS_THERE:
            raise Refusal(
                "oidc_issuer needs joserfc, which is not installed here; install Weir with its extra `oidc`"
            )
        self._settings = settings
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._known: Known | None = None

    @property
    def issuer(self) -> str:
        """By which accounts are told apart from those of another provider."""
        return self._settings.oidc_issuer

    @property
    def name(self) -> str:
        """What members know it by."""
        return self._settings.oidc_name or str(urlsplit(self.issuer).hostname)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Connections for the time of the block."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._settings.oidc_timeout_s),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        ) as session:
            self._session = session
            yield
        self._session = None

    async def where_to(self, token: str) -> str:
        """Where the browser that holds this token is to go. Raises ProviderAway."""
        known = await self._ask_who()
        return account.where_to(
            known.provider, client_id=self._settings.oidc_client_id, back_url=self._back_url, token=token
        )

    async def subject_of(self, code: str, token: str) -> str:
        """Whose account the code stands for. Raises ProviderAway, NotThisAccount."""
        known = await self._ask_who()
        told = await self._exchange(known.provider, code, token)
        text = told.get("id_token") if isinstance(told, dict) else None
        try:
            return self._proven(text, known.keys, token)
        except UnknownKey:
            if self._clock() - known.asked_us < KEYS_PAUSE_US:
                raise
            known = await self._ask_who(anew=True)
            return self._proven(text, known.keys, token)

    def _proven(self, text: object, keys: KeySet, token: str) -> str:
        return account.proven_subject(
            text, keys, issuer=self.issuer, client_id=self._settings.oidc_client_id, token=token,
            now_us=self._clock(), skew_s=self._settings.oidc_clock_skew_s,
        )  # fmt: skip

    @property
    def _back_url(self) -> str:
        return self._settings.portal_url.rstrip("/") + BACK

    async def _ask_who(self, *, anew: bool = False) -> Known:
        now, age_max_us = self._clock(), self._settings.oidc_keys_age_max_s * account.SECOND_US
        if not anew and self._known is not None and 0 <= now - self._known.asked_us < age_max_us:
            return self._known
        told = await self._ask("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        provider = account.read_provider(told, issuer=self.issuer)
        keys = account.read_keys(await self._ask("GET", provider.keys_url))
        self._known = Known(provider, keys, now)
        return self._known

    async def _exchange(self, provider: Provider, code: str, token: str) -> object:
        client, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._back_url,
            "code_verifier": derived_text(token, account.VERIFIER),
        }  # fmt: skip
        if provider.takes_header:
            # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
            both = f"{quote(client, safe='')}:{quote(secret, safe='')}"
            headers = {"Authorization": f"Basic {b64encode(both.encode('ascii')).decode('ascii')}"}
            return await self._ask("POST", provider.token_url, data=form, headers=headers)
        return await self._ask(
            "POST", provider.token_url, data=form | {"client_id": client, "client_secret": secret}
        )

    async def _ask(self, method: str, url: str, **more: Any) -> object:
        assert self._session is not None, "it is asked while the portal serves"
        most, body = self._settings.oidc_answer_bytes_max, bytearray()
        try:
            async with self._session.request(method, url, allow_redirects=False, **more) as reply:
                if reply.status != 200:
                    raise _Unfit(f"status {reply.status}")
                async for piece in reply.content.iter_chunked(16 * 1024):
                    body += piece
                    if len(body) > most:
                        raise _Unfit(f"more than {most} bytes (oidc_answer_bytes_max)")
            return json.loads(body)
        except (_Unfit, aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            what = str(error) if isinstance(error, _Unfit) else type(error).__name__
            log.warning("the provider at oidc_issuer did not answer as it should: %s", what)
            raise ProviderAway(account.NOT_ANSWERING) from None


class _Unfit(Exception):
    """An answer that is none."""
