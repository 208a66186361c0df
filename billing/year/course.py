"""The course of a closing while it is worked out: steps taken, and which account got what."""

from __future__ import annotations

from functools import cached_property

from billing.year.columns import People, Uses
from billing.year.inputs import YearInputs
from billing.year.outcome import Step
from billing.year.roll import Roll, roll_of

COLLECTIVE = "collective:main"
CARRIED = "loss:carried"
COMPULSORY = "reserve:compulsory"
VOLUNTARY = "reserve:voluntary"
INTEREST = "interest:shares"


class Course:
    """Collects steps and accounts in the order the closing takes them."""

    def __init__(self, inputs: YearInputs) -> None:
        self.inputs = inputs
        self.uses = Uses.of(inputs.uses)
        self.people = People.of(inputs.people)
        self.rules = inputs.rule_set
        self.steps: list[Step] = []
        self.accounts: dict[str, int] = {}
        self.interest: dict[str, int] = {}
        self.took: list[int] = []
        """What each step took of the result on its way to the pool; below zero where a reserve gave."""

    @cached_property
    def roll(self) -> Roll:
        """Everybody in order. Asked for once the inputs were checked."""
        return roll_of(self.people, self.uses)

    def note(self, key: str, name: str, formula: str, amount_minor: int) -> int:
        """Write a step down; its amount."""
        self.steps.append(Step(key, name, formula, amount_minor))
        return amount_minor

    def take(self, key: str, name: str, formula: str, amount_minor: int) -> int:
        """Write down a step that takes a part of the result; its amount."""
        self.took.append(amount_minor)
        return self.note(key, name, formula, amount_minor)

    def give(self, account: str, amount_minor: int) -> None:
        """Add to what an account gets of the result; below zero it gives."""
        if amount_minor:
            self.accounts[account] = self.accounts.get(account, 0) + amount_minor
