"""The mail with a one-time link, in plain words, in the language spoken now. Pure."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from billing.tongue import _

EMAIL_CHARACTERS_MAX = 254


def is_address(text: str) -> bool:
    """Whether it could be one e-mail address: no blanks, no line ends, something on both sides of its last '@'."""
    local, _, domain = text.rpartition("@")
    return (
        bool(local and domain)
        and len(text) <= EMAIL_CHARACTERS_MAX
        and text.isprintable()
        and not any(one in text for one in ' <>,;:"()[]\\')
    )


def login_mail(*, sender: str, to: str, name: str, link: str, minutes: int) -> EmailMessage:
    """The mail. Raises ValueError for an address that cannot stand in a header."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Weir", addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = _("Your link to sign in")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        _(
            "Hello {name},\n\n"
            "somebody asked for a link that signs you in to your co-op's pages. If it was you, open it:\n\n"
            "{link}\n\n"
            "It works once, and for {minutes} minutes. If it was not you, there is nothing to do: without this mail\n"
            "nobody gets in with it. Do not pass the link on; whoever opens it is signed in as you.\n",
            name=name, link=link, minutes=minutes,
        )
    )  # fmt: skip
    return message
