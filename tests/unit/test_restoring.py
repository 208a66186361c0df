"""What a killed restore leaves beside the place, and what somebody else put there."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.backup import restoring
from deploy.place import DataRefused


@pytest.mark.parametrize(
    "left",
    [(), ("log/",), ("log/", ".restoring.4711"), ("restoring", "log/", "log/portal.log", "secret.key")],
)
def test_what_a_killed_restore_left_is_cleared_away_whenever_it_was_killed(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    beside = tmp_path / "data.restoring"
    beside.mkdir()
    for name in left:
        if name.endswith("/"):
            (beside / name).mkdir()
        else:
            (beside / name).write_text("x")
    assert beside == restoring._begin(tmp_path / "data")
    assert {"restoring", "log"} == {one.name for one in beside.iterdir()}


@pytest.mark.parametrize("name", ["holiday.mp4", "log/portal.log", "secret.key"])
def test_what_somebody_else_put_there_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.restoring" / name
    path.parent.mkdir(parents=True)
    path.write_text("x")
    with pytest.raises(DataRefused, match="is in the way"):
        restoring._begin(tmp_path / "data")
    assert path.exists()
