"""A mail server for tests: SMTP with STARTTLS on loopback, which keeps what it was sent and can be told to refuse."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "mail.crt", directory / "mail.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


@dataclass
class MailServer:
    """What it was sent, and how it behaves."""

    context: ssl.SSLContext
    port: int = 0
    offers_tls: bool = True
    answers: list[str] = field(default_factory=list)
    """To the next mails' DATA, instead of '250'."""
    slow_to: bytes = b"nobody@"
    """A mail to an address with this in it is not answered before `goes_on`."""
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    """That such a mail came."""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    mails: asyncio.Queue[EmailMessage] = field(default_factory=asyncio.Queue)
    tries: int = 0
    in_clear: list[bytes] = field(default_factory=list)
    """Commands that came without TLS."""

    async def next(self) -> EmailMessage:
        """The next mail; waits for it."""
        return await asyncio.wait_for(self.mails.get(), 30)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        is_tls = False

        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        await say("220 a test")
        while line := await reader.readline():
            command = line.strip().upper()
            if not is_tls:
                self.in_clear.append(command)
            if command.startswith(b"EHLO"):
                await say("250-a test\r\n250 STARTTLS" if self.offers_tls and not is_tls else "250 a test")
            elif command == b"STARTTLS":
                await say("220 go on")
                await writer.start_tls(self.context)
                is_tls = True
            elif command == b"DATA":
                await say("354 go on")
                body = await reader.readuntil(b"\r\n.\r\n")
                self.tries += 1
                if self.slow_to in body.partition(b"\r\n\r\n")[0]:
                    self.waits.set()
                    await self.goes_on.wait()
                answer = self.answers.pop(0) if self.answers else "250 taken"
                if answer.startswith("250"):
                    found = message_from_bytes(body[:-5], _class=EmailMessage, policy=policy.default)
                    self.mails.put_nowait(found)
                await say(answer)
            elif command == b"QUIT":
                await say("221 bye")
                break
            else:
                await say("250 yes")
        writer.close()


@asynccontextmanager
async def mail_server(directory: Path) -> AsyncIterator[MailServer]:
    """A server for the time of the block; clients trust directory/mail.crt."""
    certificate, key = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    one = MailServer(context)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
