"""Sends one-time links, and notices of new ways in, by e-mail: a page only notes it, all else happens here, in turn.

So a page answers the same, and as fast, whoever asks. No address, link or name is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import random
import smtplib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from enum import Enum
from typing import TypeVar, cast

from billing.metrics import PortalMetrics
from billing.portal import login, store
from billing.portal.entry import Happened
from billing.portal.guard import Attempts
from billing.portal.mail import login_mail, notice_mail
from billing.settings import BillingSettings
from billing.tongue import speaking
from meter.ids import MemberId
from meter.postgres import AWAY, Connection, Pool
from meter.refusal import Refusal

log = logging.getLogger("billing.mail")
One = TypeVar("One")
MEMBERS_OF_AN_ADDRESS_MAX = 10
HOUR_US = 3600 * 10**6
PAUSE_S = 3


class Delivery(Enum):
    """What became of a mail: taken, refused for good, or nobody there to take it."""

    SENT = "sent"
    REFUSED = "refused"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a member is told at the address the co-op knows."""

    member: MemberId
    what: Happened
    name: str
    at_us: int


class Mailer:
    """A bounded line of addresses that asked for a link, and one of notices, each served in its turn."""

    def __init__(
        self, pool: Pool, settings: BillingSettings, metrics: PortalMetrics, clock: Callable[[], int]
    ) -> None:
        """Raises Refusal where the portal does not know its own address: a link must lead somewhere."""
        if not settings.portal_url:
            raise Refusal("smtp_host needs portal_url, for a link by e-mail has to lead to the portal")
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        # Waiting and counted apart: whoever asks for many links must not keep a notice back.
        self._asked: asyncio.Queue[str] = asyncio.Queue(settings.login_mails_waiting_max)
        self._noticed: asyncio.Queue[Notice] = asyncio.Queue(settings.login_mails_waiting_max)
        self._links, self._notices = (
            Attempts(
                tries_max=settings.login_mails_per_hour_max,
                addresses_max=settings.login_addresses_max,
                window_us=HOUR_US,
            )
            for _ in range(2)
        )

    def ask(self, email: str) -> None:
        """Note that this address asked; dropped when too many wait."""
        self._line_up(self._asked, email)

    def tell(self, notice: Notice) -> None:
        """Note that a member is to be told something; dropped when too many wait."""
        self._line_up(self._noticed, notice)

    def _line_up(self, line: asyncio.Queue[One], one: One) -> None:
        try:
            line.put_nowait(one)
        except asyncio.QueueFull:
            self._metrics.mailed("dropped")

    def at_work(self) -> AbstractAsyncContextManager[None]:
        """Send for the time of the block; what waits at its end is not sent, and is asked for again."""
        return beside(self._work())

    async def _work(self) -> None:
        await asyncio.gather(
            self._in_turn(self._asked, self._serve), self._in_turn(self._noticed, self._notify)
        )

    async def _in_turn(self, line: asyncio.Queue[One], serve: Callable[[One], Awaitable[None]]) -> None:
        while True:
            one = await line.get()
            try:
                await serve(one)
            except AWAY as error:
                self._metrics.mailed("failed")
                log.warning("a mail was not made, the database is away: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever one mail does, the next one has its turn
                self._metrics.mailed("failed")
                # Its kind alone: the words of an error may hold the address.
                log.error("a mail failed: %s", type(error).__name__)

    async def _serve(self, email: str) -> None:
        async with self._pool.acquire() as pooled:
            connection = cast(Connection, pooled)
            found = await store.members_with_email(connection, email, count_max=MEMBERS_OF_AN_ADDRESS_MAX)
        if not found:
            self._metrics.mailed("unknown")
        for member, name, registered, language in found:
            now = self._clock()
            if self._links.is_spent(str(member), now_us=now):
                self._metrics.mailed("limited")
                continue
            told = language or self._settings.portal_language
            # What nobody took counts for nothing: a mail server's bad quarter of an hour would cost members the next hour.
            if await self._mail(member, name, registered, told) is not Delivery.AWAY:
                self._links.allow(str(member), now_us=now)

    async def _mail(self, member: MemberId, name: str, email: str, language: str) -> Delivery:
        settings = self._settings
        async with self._pool.acquire() as pooled:
            link = await login.create_login_link(
                cast(Connection, pooled), member, portal_url=settings.portal_url, now_us=self._clock(),
                ttl_minutes=settings.login_link_ttl_minutes, open_max=settings.login_links_open_max,
            )  # fmt: skip
        with speaking(language):
            message = login_mail(
                sender=settings.smtp_from, to=email, name=name, link=link, minutes=settings.login_link_ttl_minutes
            )  # fmt: skip
        return await self._send(message)

    async def _notify(self, notice: Notice) -> None:
        settings = self._settings
        async with self._pool.acquire() as pooled:
            found = await store.address_of(cast(Connection, pooled), notice.member)
        if found is None:
            self._metrics.mailed("unknown")
            return
        now = self._clock()
        if self._notices.is_spent(str(notice.member), now_us=now):
            self._metrics.mailed("limited")
            return
        email, name, language = found
        with speaking(language or settings.portal_language):
            message = notice_mail(
                sender=settings.smtp_from, to=email, name=name, what=notice.what, called=notice.name,
                at_us=notice.at_us, portal_url=settings.portal_url,
            )  # fmt: skip
        if await self._send(message) is not Delivery.AWAY:
            self._notices.allow(str(notice.member), now_us=now)

    async def _send(self, message: EmailMessage) -> Delivery:
        became = await deliver(message, self._settings)
        self._metrics.mailed("sent" if became is Delivery.SENT else "failed")
        return became


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let work without an end go on for the time of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def deliver(message: EmailMessage, settings: BillingSettings) -> Delivery:
    """Date a mail and hand it to the server, with so many tries."""
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=settings.smtp_from.rpartition("@")[2])
    for number in range(1, settings.smtp_tries_max + 1):
        try:
            await asyncio.to_thread(send, message, settings)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("try %d of a mail failed: %s", number, type(error).__name__)
            if _is_final(error):
                return Delivery.REFUSED
            if number < settings.smtp_tries_max:
                await asyncio.sleep(random.randint(0, PAUSE_S * number))  # noqa: S311 - a pause
        else:
            return Delivery.SENT
    return Delivery.AWAY


def _is_final(error: Exception) -> bool:
    """Whether the server, or its certificate, will say the same again."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, ssl.SSLCertVerificationError | smtplib.SMTPNotSupportedError)


def send(message: EmailMessage, settings: BillingSettings) -> None:
    """Hand a mail to the server; blocks. Raises OSError, smtplib.SMTPException."""
    context = ssl.create_default_context()
    timeout = settings.smtp_timeout_s
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.smtp_host, settings.smtp_port, timeout=timeout, context=context
        )
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=timeout)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=context)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password)
        server.send_message(message)
