"""What a storage engine refuses. Anything else an engine raises is a bug or a broken disk.

StorageError
├── NoSuchBucket        the engine holds no such bucket
├── BucketNotEmpty      objects, old versions, delete markers or open uploads are left
├── NoSuchKey           no object now; perhaps a delete marker
├── NoSuchVersion
├── IsDeleteMarker      the version named is a delete marker, and has no bytes
├── NoSuchUpload        unknown, completed by other parts, or aborted
├── InvalidPart         a part is missing, or its ETag differs
├── InvalidPartOrder    part numbers do not ascend
├── PartTooSmall        a part before the last is under the minimum
├── PreconditionFailed  If-Match or If-None-Match, decided inside the commit
├── ObjectLocked        a retention or a legal hold forbids it
├── InvalidRules        what was asked of the bucket's rules cannot be, such as a lock without versions
├── QuotaExceeded       the commit would pass the bucket's or the member's limit
├── StorageFull         the disk refused; nothing was committed
├── Busy                too many changes wait; the client should slow down and try again
├── DamagedObject       the index knows the object, its bytes are missing or short
├── Unsupported         this engine cannot do it, and it is not emulated
├── Unavailable         the system behind the engine fails or cannot be reached
├── Unreached           the engine is another machine's, and this gateway has no way to it
├── Misconfigured       the system behind refuses the co-op's own key, region or bucket: the operator's matter
└── Refused             the system behind refuses for a reason S3 has a code for
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of what an engine refuses; anything else an engine raises is a bug or a broken disk."""


class NoSuchBucket(StorageError): ...


class BucketNotEmpty(StorageError): ...


class NoSuchKey(StorageError):
    """args[0] is the key."""

    marker_version_id: str = ""
    """The version id of the delete marker that hides the key, if that is why."""


class NoSuchVersion(StorageError):
    """args are the key and the version id."""


class IsDeleteMarker(StorageError):
    """args are the key, the marker's version id, and when it was set (UTC microseconds)."""


class NoSuchUpload(StorageError): ...


class InvalidPart(StorageError):
    """args[0] is the part number."""


class InvalidPartOrder(StorageError): ...


class PartTooSmall(StorageError):
    """args are part number, its size in bytes, the minimum in bytes."""


class PreconditionFailed(StorageError): ...


class ObjectLocked(StorageError):
    """args[0] is the key."""


class InvalidRules(StorageError):
    """args[0] says in a sentence what cannot be."""


class QuotaExceeded(StorageError):
    """args are whose limit it is, 'bucket' or 'member', and the limit in bytes."""


class StorageFull(StorageError): ...


class Busy(StorageError):
    """Nothing was changed; the same call may succeed a little later."""


class DamagedObject(StorageError):
    """args[0] says which file is missing or short; bytes that are gone are never answered as zeros."""


class Unsupported(StorageError):
    """args are the operation, by S3's name, and the engine's name."""


class Unavailable(StorageError):
    """args[0] says in a sentence what the system behind did. Whether it changed anything is not known."""


class Unreached(StorageError):
    """args[0] says which engine this gateway does not reach. It was not asked, so nothing was changed."""


class Misconfigured(StorageError):
    """args[0] says what the system behind said; it is for the operator, and no member is told."""


class Refused(StorageError):
    """args are S3's code and the sentence that came with it. Nothing was changed."""
