"""The portal's counters for operating. No member and no address is ever a label."""

from __future__ import annotations

from meter.metrics import Registry, series


class PortalMetrics:
    """The portal's series."""

    def __init__(self) -> None:
        self._registry = Registry()

    def answered(self, status: int) -> None:
        """Count one page by the first digit of its status, e.g. 2xx."""
        self._registry.add(series("weir_portal_requests_total", code=f"{str(status)[0]}xx"))

    def mailed(self, outcome: str) -> None:
        """Count one mail: sent, failed, limited, dropped, or unknown where no member has the address."""
        self._registry.add(series("weir_portal_mails_total", outcome=outcome))

    def publish(self) -> None:
        """Tell the supervisor."""
        self._registry.publish()
