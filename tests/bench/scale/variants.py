"""What a comparison changes of a plan: one thing at a time, beside the plan as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.bench.scale.plan import Plan

VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "interval": ({"interval_ms": 500}, {"interval_ms": 2_000}, {"interval_ms": 30_000}),
    "commit": ({"synchronous_commit": "off"},),
    "fillfactor": ({"fillfactor": 50}, {"fillfactor": 80}),
    "spread": ({"spread": 3},),
    "hot": ({"hot": 0.3},),
    "pool": ({"pooled": 2}, {"pooled": 16}),
    "members": ({"members": 100_000}, {"members": 1_000_000}),
    "workers": ({"workers": 4},),
}


def compared(plan: Plan, names: Sequence[str]) -> list[tuple[str, Plan]]:
    """(title, plan): the plan itself, then each variant that differs from it."""
    found = [("as asked", plan)]
    for name in names:
        for change in VARIANTS[name]:
            varied = replace(plan, **change)
            if varied != plan:
                ((key, value),) = change.items()
                found.append((f"{key} {value}", varied))
    return found
