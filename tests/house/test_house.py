"""The house rules: arrows, purity, sizes, SQL in its place, whole numbers where money is.

Each rule is a function from a source text to complaints, so that test_house_sees.py can plant faults.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import rules

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for room in rules.ROOMS for path in (ROOT / room).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]


def test_there_is_a_house() -> None:
    assert len(MODULES) > 50


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps(rule: rules.Rule) -> None:
    complaints = [
        f"{name}: {complaint}"
        for name, path in zip(NAMES, MODULES, strict=True)
        for complaint in rule(name, path.read_text())
    ]
    assert [] == complaints
