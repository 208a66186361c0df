-- Versions, delete markers, object locks, tags, quotas. Sizes are bytes, times UTC microseconds.
--
-- Table object stays what it was: the current object of each key, so that a plain GET and a listing cost
-- what they did. What is no longer current, and every delete marker, stands in table version.

ALTER TABLE bucket ADD COLUMN versioning TEXT NOT NULL DEFAULT ''
    CHECK (versioning IN ('', 'Enabled', 'Suspended'));
ALTER TABLE bucket ADD COLUMN locks INTEGER NOT NULL DEFAULT 0 CHECK (locks IN (0, 1));
ALTER TABLE bucket ADD COLUMN default_retention TEXT;

-- Whose bytes a member's quota counts.
CREATE INDEX bucket_owner ON bucket (owner);

-- '' is what was written while the bucket had no versions, 'null' while they were suspended; of the two a
-- key has at most one. Tags, access list, retention, hold and sealing are in extras; most have none.
ALTER TABLE object ADD COLUMN version_id TEXT NOT NULL DEFAULT '';
ALTER TABLE object ADD COLUMN extras TEXT;
ALTER TABLE upload ADD COLUMN extras TEXT;
ALTER TABLE tombstone ADD COLUMN version_id TEXT NOT NULL DEFAULT '';

-- Within a key modified_us ascends strictly over both tables, so it is the order of the versions. Everything
-- here is older than the key's row in object. Where there is no such row, the newest here is a marker, and
-- the only one whose superseded_us is NULL.
CREATE TABLE version (
    bucket INTEGER NOT NULL REFERENCES bucket (bucket),
    key BLOB NOT NULL,
    modified_us INTEGER NOT NULL,
    version_id TEXT NOT NULL,
    is_marker INTEGER NOT NULL CHECK (is_marker IN (0, 1)),
    piece INTEGER,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    etag TEXT NOT NULL,
    headers TEXT NOT NULL,
    checksum TEXT,
    part_sizes TEXT,
    extras TEXT,
    superseded_us INTEGER,
    PRIMARY KEY (bucket, key, modified_us DESC),
    CHECK ((piece IS NULL) = is_marker)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX version_name ON version (bucket, key, version_id);

-- The sums a quota is held against, changed in the commit that changes the bytes.
CREATE TABLE total (
    bucket INTEGER NOT NULL REFERENCES bucket (bucket),
    line INTEGER NOT NULL,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (bucket, line)
) STRICT, WITHOUT ROWID;

INSERT INTO total (bucket, line, bytes)
    SELECT bucket, 0, sum(size_bytes) FROM object GROUP BY bucket;
INSERT INTO total (bucket, line, bytes)
    SELECT upload.bucket, 1, sum(part.size_bytes) FROM part JOIN upload USING (upload_id) GROUP BY upload.bucket;
