-- The index of the disk engine: which object is which bytes. Sizes are bytes, times UTC microseconds.
-- Keys are UTF-8 bytes, so that the order of the table is S3's byte order.
--
-- No foreign key points at piece: each would need an index of its own on the pointing side, paid by
-- every put. A piece belongs to exactly one object or part, and goes in the transaction that drops it.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last sequence given stands here, not in outbox, so that trimming never resets it.
INSERT INTO meta (name, value) VALUES ('sequence', 0);

CREATE TABLE bucket (
    bucket INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL
) STRICT;

-- One run of bytes as it was sent: in a file, or right here when it is small. The number is never
-- given again, so a tombstone can tell its object from a later one.
CREATE TABLE piece (
    piece INTEGER PRIMARY KEY AUTOINCREMENT,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    blob TEXT,
    data BLOB,
    CHECK ((blob IS NULL) <> (data IS NULL)),
    CHECK (data IS NULL OR length(data) = size_bytes)
) STRICT;

CREATE UNIQUE INDEX piece_blob ON piece (blob) WHERE blob IS NOT NULL;

CREATE TABLE object (
    bucket INTEGER NOT NULL REFERENCES bucket (bucket),
    key BLOB NOT NULL,
    piece INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    etag TEXT NOT NULL,
    modified_us INTEGER NOT NULL,
    headers TEXT NOT NULL,
    checksum TEXT,
    part_sizes TEXT,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- The pieces after the first, of objects completed from more than one part.
CREATE TABLE manifest (
    first_piece INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 1),
    piece INTEGER NOT NULL,
    PRIMARY KEY (first_piece, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
    upload_id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL REFERENCES bucket (bucket),
    key BLOB NOT NULL,
    started_us INTEGER NOT NULL,
    headers TEXT NOT NULL,
    checksum_algorithm TEXT NOT NULL,
    checksum_kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX upload_order ON upload (bucket, key, upload_id);

CREATE TABLE part (
    upload_id TEXT NOT NULL REFERENCES upload (upload_id),
    number INTEGER NOT NULL CHECK (number >= 1),
    piece INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    etag TEXT NOT NULL,
    modified_us INTEGER NOT NULL,
    checksum TEXT,
    PRIMARY KEY (upload_id, number)
) STRICT, WITHOUT ROWID;

-- Completed uploads, so that a Complete repeated after a lost answer gets the same answer.
CREATE TABLE tombstone (
    upload_id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    parts TEXT NOT NULL,
    piece INTEGER NOT NULL,
    completed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tombstone_age ON tombstone (completed_us);

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    member INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    line INTEGER NOT NULL,
    delta_bytes INTEGER NOT NULL CHECK (delta_bytes <> 0),
    at_us INTEGER NOT NULL
) STRICT;

-- Files nothing points at any more; they go when their readers have had their time.
CREATE TABLE garbage (
    blob TEXT PRIMARY KEY,
    after_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX garbage_age ON garbage (after_us);
