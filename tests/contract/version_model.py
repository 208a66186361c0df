"""A versioned bucket in plain Python lists, as S3's user guide tells of it, to hold engines against."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.storage.model import Versioning

NULL = "null"


@dataclass
class Version:
    """One line of the history of a key; data None is a delete marker."""

    version_id: str
    data: bytes | None
    tags: dict[str, str] = field(default_factory=dict)


class VersionedBucket:
    """Histories of keys, the newest version first. Ids are told to it, for only the engine makes them."""

    def __init__(self) -> None:
        self.versioning = Versioning.OFF
        self.history: dict[str, list[Version]] = {}

    def write(self, key: str, version_id: str, data: bytes | None) -> None:
        """Put (data), or set a marker (None)."""
        versions = self.history.setdefault(key, [])
        if self.versioning is Versioning.ENABLED:
            assert version_id != NULL
            assert version_id not in [version.version_id for version in versions]
        else:
            assert version_id == NULL
            versions[:] = [version for version in versions if version.version_id != NULL]
        versions.insert(0, Version(version_id, data))

    def delete(self, key: str, marker_id: str) -> None:
        """Delete without naming a version."""
        if self.versioning is Versioning.OFF:
            assert marker_id == ""
            self.history.pop(key, None)
        else:
            self.write(key, marker_id, None)

    def remove(self, key: str, version_id: str) -> Version | None:
        """Delete one version for good."""
        versions = self.history.get(key, [])
        found = next((version for version in versions if version.version_id == version_id), None)
        if found is not None:
            versions.remove(found)
        if not versions:
            self.history.pop(key, None)
        return found

    def current(self) -> dict[str, bytes]:
        """What a plain GET of each key gives."""
        newest = {key: versions[0].data for key, versions in self.history.items()}
        return {key: data for key, data in newest.items() if data is not None}

    def bytes_of_lines(self) -> tuple[int, int]:
        """Bytes of current objects, and of versions that are not current."""
        current = sum(map(len, self.current().values()))
        everything = sum(len(v.data or b"") for versions in self.history.values() for v in versions)
        return current, everything - current

    def page(
        self, *, prefix: str, delimiter: str, after: tuple[str, str], limit: int
    ) -> tuple[list[tuple[str, Version]], list[str], tuple[str, str] | None]:
        """ListObjectVersions: versions, common prefixes, and the last pair when more follows."""
        items: list[tuple[str, Version | None]] = []
        after_key, after_id = after
        for key in sorted(self.history, key=str.encode):
            found = key.find(delimiter, len(prefix)) if delimiter else -1
            if not key.startswith(prefix):
                continue
            if found >= 0:
                common = key[: found + len(delimiter)]
                hidden = after_key.startswith(common) or common.encode() <= after_key.encode()
                if not hidden and (common, None) not in items:
                    items.append((common, None))
                continue
            ids = [version.version_id for version in self.history[key]]
            if key.encode() > after_key.encode():
                behind = self.history[key]
            elif key == after_key and after_id:
                behind = self.history[key][ids.index(after_id) + 1 :]
            else:
                behind = []
            items += [(key, version) for version in behind]
        page = items[:limit]
        last = None
        if len(items) > limit and page:
            last = (page[-1][0], "" if page[-1][1] is None else page[-1][1].version_id)
        return (
            [(key, version) for key, version in page if version is not None],
            [name for name, version in page if version is None],
            last,
        )
