"""The portal's mails, in plain words, in the language spoken now: a one-time link, a new way in, an old address. Pure."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from billing.portal.entry import Happened
from billing.tongue import _
from billing.words import instant_text


def login_mail(*, sender: str, to: str, name: str, link: str, minutes: int) -> EmailMessage:
    """The mail. Raises ValueError for an address that cannot stand in a header."""
    return _mail(
        sender,
        to,
        _("Your link to sign in"),
        _(
            "Hello {name},\n\n"
            "somebody asked for a link that signs you in to your co-op's pages. If it was you, open it:\n\n"
            "{link}\n\n"
            "It works once, and for {minutes} minutes. If it was not you, there is nothing to do: without this mail\n"
            "nobody gets in with it. Do not pass the link on; whoever opens it is signed in as you.\n",
            name=name, link=link, minutes=minutes,
        ),
    )  # fmt: skip


def notice_mail(
    *, sender: str, to: str, name: str, what: Happened, called: str, at_us: int, portal_url: str
) -> EmailMessage:
    """That there is a new way to sign in as them. Raises ValueError for an address that cannot stand in a header."""
    page, at = f"{portal_url.rstrip('/')}/sessions", instant_text(at_us)
    match what:
        case Happened.PASSKEY_ADDED:
            subject = _("A new passkey of yours")
            text = _(
                "Hello {name},\n\n"
                "a passkey called \"{called}\" was added to your membership on {at}. Whoever has that device and can\n"
                "unlock it can sign in as you.\n\n"
                "If it was you, there is nothing to do. If it was not, sign in with a one-time link, remove the passkey\n"
                "and end all other sessions here, and tell whoever runs your co-op:\n\n"
                "{page}\n",
                name=name, called=called, at=at, page=page,
            )  # fmt: skip
        case Happened.ACCOUNT_LINKED:
            subject = _("An account that signs you in")
            text = _(
                "Hello {name},\n\n"
                "an account at {called} was linked to your membership on {at}. Whoever is signed in there can sign\n"
                "in here as you.\n\n"
                "If it was you, there is nothing to do. If it was not, sign in with a one-time link, unlink the account\n"
                "and end all other sessions here, and tell whoever runs your co-op:\n\n"
                "{page}\n",
                name=name, called=called, at=at, page=page,
            )  # fmt: skip
        case other:
            raise AssertionError(f"nobody is told by mail of {other}")
    return _mail(sender, to, subject, text)


def old_address_mail(
    *, sender: str, to: str, name: str, when: str, domain: str, portal_url: str
) -> EmailMessage:
    """What is said at the address that was a member's. Raises ValueError for one that cannot stand in a header.

    Of the new address its domain alone, empty where there is none: whoever reads this mailbox now may be somebody else.
    """
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
    return _mail(
        sender, to, _("Your e-mail address was changed"),
        changed
        + _(
            "If it was you, or somebody of the co-op for you, there is nothing to do.\n\n"
            "If it was not: somebody else is signed in as you. Where you are still signed in yourself, put your address back\n"
            "at {portal}/membership first, and then end all other sessions at {portal}/sessions.\n"
            "Where you are not, tell your co-op's board today, by phone or in person; it puts the address back. Then ask for a\n"
            "link to sign in, and end all other sessions. Remove on that page the passkeys and accounts that are not yours, and\n"
            "at {portal}/keys such keys and tokens. The register of members keeps when the address was changed, and what\n"
            "stood there before.\n", **told,
        ),
    )  # fmt: skip


def _mail(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Weir", addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message
