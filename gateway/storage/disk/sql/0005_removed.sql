-- Whose bytes the files are that wait for the collector, so that the disk they still take is known to the byte.
-- Files that waited already when this came have no size here: no sum counts them, and they are gone in minutes.

ALTER TABLE garbage ADD COLUMN bucket INTEGER NOT NULL DEFAULT 0;
ALTER TABLE garbage ADD COLUMN member INTEGER NOT NULL DEFAULT 0;
ALTER TABLE garbage ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0 CHECK (size_bytes >= 0);
