-- Many gateways: who they are, and what changed in the directory, so that each reads only that.

-- One row a gateway, for ever. Whoever shows that they were its last start goes on as it; a copy cannot.
CREATE TABLE gateway.gateway (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    start      uuid NOT NULL,        -- changes with each start of its processes
    place      text NOT NULL,        -- the machine's boot and the directory, as the last start saw them
    version    text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz,          -- told at an orderly stop; NULL while it runs, or when it was cut off
    change     bigint NOT NULL DEFAULT 0,   -- the last change of the directory that all its workers know
    backlog    bigint NOT NULL DEFAULT 0    -- records in its journals that PostgreSQL does not have yet
);
GRANT SELECT, INSERT, UPDATE ON gateway.gateway TO weir_gateway;

-- Whose journal a stream belongs to. A stream never goes over to another gateway.
CREATE TABLE gateway.gateway_stream (
    stream  uuid PRIMARY KEY,
    gateway uuid NOT NULL REFERENCES gateway.gateway,
    label   text NOT NULL
);
GRANT SELECT, INSERT ON gateway.gateway_stream TO weir_gateway;

-- What to read again. Changes become visible in another order than they were numbered in, so a reader does not
-- go by the number: it takes all whose transaction was not over for certain when it looked last (pg_snapshot_xmin).
-- No lock is held for this, and so no writer waits for another one.
CREATE TABLE gateway.directory_change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    at          timestamptz NOT NULL DEFAULT now(),
    member      bigint,
    access_key  text,
    bucket      text               -- its name; all three NULL: everything is to be read again
);
CREATE INDEX directory_change_by_transaction ON gateway.directory_change (transaction);
CREATE INDEX directory_change_by_time ON gateway.directory_change (at);
GRANT SELECT, DELETE ON gateway.directory_change TO weir_gateway;

-- Changes up to this transaction are not kept any more: who last looked before it reads everything.
CREATE TABLE gateway.directory_forgotten (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    transaction bigint NOT NULL
);
INSERT INTO gateway.directory_forgotten (transaction) VALUES (0);
GRANT SELECT, UPDATE ON gateway.directory_forgotten TO weir_gateway;

-- Fires with any statement of any role, and enters what only the owner may.
CREATE FUNCTION gateway.note_change() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE TG_ARGV[0]
        WHEN 'member' THEN
            INSERT INTO gateway.directory_change (member) SELECT DISTINCT id FROM changed;
        WHEN 'limit' THEN
            INSERT INTO gateway.directory_change (member) SELECT DISTINCT member FROM changed;
        WHEN 'key' THEN
            INSERT INTO gateway.directory_change (access_key) SELECT DISTINCT access_key FROM changed;
        WHEN 'bucket' THEN
            INSERT INTO gateway.directory_change (bucket) SELECT DISTINCT name FROM changed;
        WHEN 'document' THEN
            INSERT INTO gateway.directory_change (bucket)
                SELECT DISTINCT b.name FROM changed c JOIN gateway.bucket b ON b.id = c.bucket;
        ELSE
            INSERT INTO gateway.directory_change DEFAULT VALUES;
    END CASE;
    RETURN NULL;
END $$;

-- Has changes of a table noted: p_as is one of the words above, or 'all' where readers are to read everything.
CREATE FUNCTION gateway.watch(p_table regclass, p_as text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER note_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS changed'
        ' FOR EACH STATEMENT EXECUTE FUNCTION gateway.note_change(%L)', p_table, p_as);
    EXECUTE format('CREATE TRIGGER note_update AFTER UPDATE ON %s REFERENCING NEW TABLE AS changed'
        ' FOR EACH STATEMENT EXECUTE FUNCTION gateway.note_change(%L)', p_table, p_as);
    EXECUTE format('CREATE TRIGGER note_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS changed'
        ' FOR EACH STATEMENT EXECUTE FUNCTION gateway.note_change(%L)', p_table, p_as);
END $$;

SELECT gateway.watch('meter.member', 'member');
SELECT gateway.watch('meter.member_cap', 'limit');
SELECT gateway.watch('gateway.member_limit', 'limit');
SELECT gateway.watch('gateway.access_key', 'key');
SELECT gateway.watch('gateway.bucket', 'bucket');
SELECT gateway.watch('gateway.bucket_document', 'document');

-- A member's status changes what all their keys open.
CREATE INDEX access_key_by_member ON gateway.access_key (member);

-- For the list of gateways: when something of a stream entered the sums last.
GRANT SELECT (shipped_at) ON meter.stream TO weir_gateway;
