"""What a start needs to know, and what a running Weir tells: to the first screen, to scripts, to its terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from billing.settings import BillingSettings
from deploy.founding import Founding
from deploy.settings import DeploySettings
from meter.settings import MeterSettings


@dataclass(frozen=True, slots=True)
class Running:
    """A co-op that is ready, as the first screen and the ready file tell it."""

    gateway_url: str
    portal_url: str | None
    """None where there is no portal."""
    admin_url: str
    data: Path
    is_embedded: bool
    founding: Founding | None
    login_link: str | None

    def ready_document(self) -> dict[str, object]:
        """What `--ready-file` holds; credentials are null when the first member has none left."""
        first = self.founding
        return {
            "gateway_url": self.gateway_url,
            "portal_url": self.portal_url,
            "admin_url": self.admin_url,
            "member": first.member.name if first else None,
            "access_key": first.access_key if first else None,
            "secret_key": first.secret_key if first else None,
            "login_link": self.login_link,
            "pid": os.getpid(),
        }


@dataclass(frozen=True, slots=True)
class RoomsSettings:
    """The settings the start needs, of every room that has some."""

    deploy: DeploySettings
    meter: MeterSettings
    billing: BillingSettings


def has_terminal() -> bool:
    """Whether a terminal controls us, whose end is told by SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
