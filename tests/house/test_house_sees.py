"""Planted faults: each rule of the house was seen to fail."""

from __future__ import annotations

import pytest

from tests.house import rules

LONG = "def f():\n" + "    x = 1\n" * 61
PLANTED = [
    (rules.imports_follow_the_arrows, "gateway/a.py", "from billing.money import apportion\n"),
    (rules.imports_follow_the_arrows, "billing/a.py", "import gateway.app\n"),
    (rules.imports_follow_the_arrows, "meter/a.py", "import deploy\n"),
    (rules.imports_follow_the_arrows, "meter/a.py", "from .event import Event\n"),
    (rules.imports_follow_the_arrows, "meter/a.py", "import tests.events\n"),
    (rules.imports_stand_at_the_top, "meter/a.py", "def f():\n    import os\n"),
    (rules.pure_modules_are_pure, "meter/tally.py", "async def f(): ...\n"),
    (rules.pure_modules_are_pure, "meter/tally.py", "import asyncpg\n"),
    (rules.pure_modules_are_pure, "meter/tally.py", "from os import path\n"),
    (rules.pure_modules_are_pure, "billing/money.py", "x = datetime.now()\n"),
    (rules.pure_modules_are_pure, "billing/money.py", "x = open('f')\n"),
    (rules.modules_are_small, "meter/a.py", "x = 1\n" * 401),
    (rules.functions_are_small, "meter/a.py", LONG),
    (rules.modules_introduce_themselves, "meter/a.py", "x = 1\n"),
    (rules.public_things_are_described, "meter/a.py", "def f():\n    return 1\n"),
    (rules.sql_stands_in_its_place, "gateway/exchange.py", "q = 'SELECT a FROM b'\n"),
    (rules.sql_stands_in_its_place, "deploy/cli.py", "q = 'DELETE FROM b'\n"),
    (rules.money_is_whole, "billing/a.py", "x = 0.5\n"),
    (rules.money_is_whole, "billing/a.py", "x = a / b\n"),
    (rules.money_is_whole, "billing/a.py", "x = a // b\n"),
    (rules.money_is_whole, "billing/a.py", "x = float(a)\n"),
    (rules.money_is_whole, "billing/money.py", "x /= b\n"),
    (rules.nothing_is_left_for_later, "meter/a.py", "# " + "TO" + "DO: later\n"),
    (rules.nothing_is_left_for_later, "meter/a.py", "raise NotImplemented" + "Error\n"),
    (rules.errors_are_not_swallowed, "meter/a.py", "try:\n    f()\nexcept OSError:\n    pass\n"),
    (rules.errors_are_not_swallowed, "meter/a.py", "try:\n    f()\nexcept:\n    raise\n"),
    (rules.the_gateway_fetches_nothing, "gateway/a.py", "from aiohttp import ClientSession\n"),
    (rules.the_gateway_fetches_nothing, "gateway/handlers/a.py", "import urllib.request\n"),
]


@pytest.mark.parametrize(("rule", "name", "text"), PLANTED)
def test_a_planted_fault_is_seen(rule: rules.Rule, name: str, text: str) -> None:
    assert list(rule(name, text))


def test_every_rule_was_seen_to_fail() -> None:
    assert set(rules.RULES) == {rule for rule, _, _ in PLANTED}


def test_clean_modules_pass() -> None:
    text = '"""A noun."""\n\n\ndef double(amount: int) -> int:\n    """Twice."""\n    return amount * 2\n'
    assert [] == [complaint for rule in rules.RULES for complaint in rule("billing/noun.py", text)]
