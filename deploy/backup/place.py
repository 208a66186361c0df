"""Where backups are asked to lie, as it is typed, and the passphrase beside nobody."""

from __future__ import annotations

from pathlib import Path

from deploy.backup.bucket import SCHEME, BucketTarget
from deploy.backup.repository import Repository, read_passphrase
from deploy.backup.target import DirectoryTarget, Target
from deploy.settings import DeploySettings
from meter.refusal import Refusal


def target_of(place: str) -> Target:
    """The directory a person names, or the bucket: s3://BUCKET/PREFIX. Raises Refusal."""
    if place.startswith(SCHEME):
        return BucketTarget(place)
    return DirectoryTarget(Path(place).absolute())


def opened(
    place: str, settings: DeploySettings, *, passphrase_file: Path | None, create: bool = False
) -> Repository:
    """The backups there. Raises Refusal: without a passphrase, or with one that lies beside what it protects."""
    named = passphrase_file or (
        Path(settings.backup_passphrase_file) if settings.backup_passphrase_file else None
    )
    if named is None:
        raise Refusal(
            "backups are sealed with a passphrase: name its file with --passphrase-file, or set "
            "backup_passphrase_file. Keep a copy on paper: without it no backup opens"
        )
    path = named.absolute().resolve()
    places = [(settings.data.absolute(), "the data directory")]
    if not place.startswith(SCHEME):
        places.append((Path(place).absolute(), "the backups"))
    for where, what in places:
        if path.is_relative_to(where.resolve()):
            raise Refusal(
                f"the passphrase file {named} lies in {what} itself; keep it elsewhere: who takes one must not have "
                "the other, and who loses one must still have it"
            )
    return Repository.open(target_of(place), read_passphrase(path), create=create)
