-- What the slow check of stored bytes compares with, how far it came, and what it found.

-- MD5 of the bytes, as the client's ETag had it; NULL of pieces written before, until the check fills it in.
ALTER TABLE piece ADD COLUMN md5 BLOB CHECK (md5 IS NULL OR length(md5) = 16);

CREATE TABLE damage (
    piece INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    found_us INTEGER NOT NULL
) STRICT;

INSERT INTO meta (name, value) VALUES
    ('scrub_piece', 0), ('scrub_began_us', 0), ('scrub_ended_us', 0), ('scrub_bytes', 0), ('scrub_filled', 0);
