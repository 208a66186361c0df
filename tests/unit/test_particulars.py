"""A member's name and addresses: which characters nobody sees may stand in them."""

from __future__ import annotations

import pytest

from billing.register.particulars import Particulars, changed
from meter.refusal import Refusal

# Unicode, The Unicode Standard 16.0, section 23.2: Persian parts letters of one word by U+200C; U+200D joins emoji.
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
FAMILY = "Haus \U0001f468\u200d\U0001f469"


@pytest.mark.parametrize("name", [PERSIAN, FAMILY, "Anna Beispiel"])
def test_a_name_may_have_what_joins_and_parts_its_letters(name: str) -> None:
    found = changed(Particulars(), legal_name=name, postal=name, email=None, purposes=None)
    assert (name, name) == (found.legal_name, found.postal)


@pytest.mark.parametrize(
    ("typed", "hidden"),
    [("Anna\u200b", "U+200B"), ("\u202eannA", "U+202E"), ("An\u00adna", "U+00AD"), ("a\x00b", "U+0000"),
     ("\u200d", "U+200D"), ("Anna\u200c", "U+200C"), ("\ufeffAnna", "U+FEFF")],
)  # fmt: skip
def test_any_other_character_that_nobody_sees_is_refused_by_its_number(typed: str, hidden: str) -> None:
    with pytest.raises(Refusal) as refused:
        changed(Particulars(), legal_name=typed, postal=None, email=None, purposes=None)
    assert f"name: it has a character that cannot be seen, {hidden}; write it without that" == str(
        refused.value
    )


def test_what_is_too_long_is_told_by_its_length() -> None:
    with pytest.raises(Refusal, match="name: one line of at most 200 characters"):
        changed(Particulars(), legal_name="x" * 201, postal=None, email=None, purposes=None)
