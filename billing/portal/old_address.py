"""Tells whoever had an e-mail address that it is no longer their membership's: by mail, at the old one, whoever changed it.

The line stands in the database, so nothing is forgotten when a mail server or this process is away. No address and no
name is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import cast

from billing.metrics import PortalMetrics
from billing.portal.guard import Attempts
from billing.portal.mail import old_address_mail
from billing.portal.mailer import HOUR_US, Delivery, beside, deliver
from billing.portal.old_address_store import OldAddress, forget, forget_old, take_next
from billing.settings import BillingSettings
from billing.tongue import speaking
from billing.words import instant_text
from meter.postgres import AWAY, Connection, Pool

log = logging.getLogger("billing.mail")
LOOK_EVERY_S = 60
AGAIN_AFTER_S = 600
DAYS_MAX = 7


class OldAddresses:
    """Looks into the line when a page says so, and every LOOK_EVERY_S for what a command changed."""

    def __init__(
        self, pool: Pool, settings: BillingSettings, metrics: PortalMetrics, clock: Callable[[], int]
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._woken = asyncio.Event()
        self._sent = Attempts(
            tries_max=settings.login_mails_per_hour_max, addresses_max=settings.login_addresses_max, window_us=HOUR_US
        )  # fmt: skip

    def look(self) -> None:
        """An address was changed just now."""
        self._woken.set()

    def at_work(self) -> AbstractAsyncContextManager[None]:
        """Send for the time of the block; what waits at its end is sent by the next process."""
        return beside(self._work())

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            try:
                while await self._serve():
                    pass
            except AWAY as error:
                log.warning("old addresses are told later, the database is away: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever one mail does, the next one has its turn
                self._metrics.mailed("failed")
                # Its kind alone: the words of an error may hold the address.
                log.error("a mail to an old address failed: %s", type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)

    async def _serve(self) -> bool:
        """Tell one; whether there was one."""
        async with self._pool.acquire() as pooled:
            connection = cast(Connection, pooled)
            found = await take_next(connection, again_after_s=AGAIN_AFTER_S, days_max=DAYS_MAX)
            if found is None:
                await forget_old(connection, days_max=DAYS_MAX)
                return False
        # A mail that was not taken stays in the line, and is tried again when its time comes.
        if await self._tell(found):
            async with self._pool.acquire() as pooled:
                await forget(cast(Connection, pooled), found.number)
        return True

    async def _tell(self, found: OldAddress) -> bool:
        """Whether it is done with."""
        now = self._clock()
        if self._sent.is_spent(str(found.member), now_us=now):
            self._metrics.mailed("limited")
            return True
        settings = self._settings
        try:
            with speaking(found.language or settings.portal_language):
                message = old_address_mail(
                    sender=settings.smtp_from, to=found.old, name=found.name, when=instant_text(found.changed_us),
                    domain=found.new.rpartition("@")[2], portal_url=settings.portal_url,
                )  # fmt: skip
        except ValueError:
            # The address could never stand in a mail, so nobody reads mails there.
            self._metrics.mailed("failed")
            return True
        is_sent = await deliver(message, settings) is Delivery.SENT
        if is_sent:
            # Mails that were taken are counted: tries would be spent within the hour that a mail server is away.
            self._sent.allow(str(found.member), now_us=now)
        self._metrics.mailed("sent" if is_sent else "failed")
        return is_sent
