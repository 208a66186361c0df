"""The table of what engines cannot do is whole; tests/integration/test_engines.py tries each line of it."""

from __future__ import annotations

from gateway.storage.abilities import (
    DISK,
    ENGINES,
    MISSING,
    OPERATIONS,
    UNSEEN,
    WORDS,
    Ability,
    can,
    does,
    lacking,
)


def test_the_table_of_engines_is_whole() -> None:
    assert list(ENGINES) == list(MISSING)
    assert set(Ability) == set(WORDS) | UNSEEN
    assert {} == MISSING[DISK]
    assert all(reason for missing in MISSING.values() for reason in missing.values())


def test_an_operation_works_where_what_it_needs_does() -> None:
    assert all(can(DISK, ability) for ability in Ability)
    for engine in ENGINES:
        assert [can(engine, ability) for ability in OPERATIONS.values()] == [
            does(engine, one) for one in OPERATIONS
        ]


def test_what_was_tried_is_believed_and_of_the_rest_what_nobody_passes_over() -> None:
    # The engine's own names, as they stand in the directory.
    assert {"conditional_copy", "conditional_delete", "parts_extras"} == set(lacking({}))
    found = {"tagging": False, "versioning": True, "conditional_copy": True}
    assert {"tagging", "conditional_delete", "parts_extras"} == set(lacking(found))
