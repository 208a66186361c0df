"""The portal's mails, in plain words, in the language spoken now: a one-time link, a word to an old address. Pure."""

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
    message = _begun(sender=sender, to=to, subject=_("Your link to sign in"))
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


def old_address_mail(
    *, sender: str, to: str, name: str, when: str, domain: str, portal_url: str
) -> EmailMessage:
    """What is said at the address that was a member's. Raises ValueError for one that cannot stand in a header.

    Of the new address its domain alone, empty where there is none: whoever reads this mailbox now may be somebody else.
    """
    message = _begun(sender=sender, to=to, subject=_("Your e-mail address was changed"))
    told = {"name": name, "when": when, "domain": domain, "portal": portal_url}
    if domain:
        changed = _(
            "Hello {name},\n\n"
            "on {when} the e-mail address of your membership was changed. Until then it was this one; now it is one at\n"
            "{domain}. Links to sign in go there from now on, and no longer here.\n\n", **told,
        )  # fmt: skip
    else:
        changed = _(
            "Hello {name},\n\n"
            "on {when} the e-mail address of your membership was taken out. Until then it was this one. Links to sign in no\n"
            "longer come here.\n\n", **told,
        )  # fmt: skip
    message.set_content(
        changed
        + _(
            "If it was you, or somebody of the co-op for you, there is nothing to do.\n\n"
            "If it was not: somebody else is signed in as you. Where you are still signed in yourself, end all other\n"
            "sessions at {portal}/sessions and put your address back at {portal}/membership.\n"
            "Where you are not, tell your co-op's board today, by phone or in person; it puts the address back. Then ask for a\n"
            "link to sign in, and end all other sessions. The register of members keeps when the address was changed, and\n"
            "what stood there before.\n", **told,
        )
    )  # fmt: skip
    return message


def _begun(*, sender: str, to: str, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Weir", addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    return message
