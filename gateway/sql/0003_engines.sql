-- Storage engines beyond this machine's disk, and on which one each bucket is.

CREATE TABLE gateway.engine (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    kind          text NOT NULL CHECK (kind IN ('disk', 's3')),
    -- Of an S3 endpoint: where it is, and the one account that is ours there. The secret is sealed like a member's.
    endpoint      text CHECK (endpoint ~ '^https?://[^/]+$'),
    region        text,
    access_key    text,
    secret        bytea,
    bucket_prefix text NOT NULL DEFAULT '' CHECK (bucket_prefix ~ '^([a-z0-9][a-z0-9-]{0,19})?$'),
    -- By which a member chooses it when a bucket is made; NULL: by its name only.
    storage_class text,
    location      text,
    is_default    boolean NOT NULL DEFAULT false,
    -- What it was found to be able to when it was last tried, as the gateway writes it.
    features      jsonb NOT NULL DEFAULT '{}',
    checked_at    timestamptz,
    -- The account's name in Ceph's usage log, if `weir audit` is to reconcile with it.
    usage_uid     text CHECK (usage_uid ~ '^[A-Za-z0-9._$:-]{1,128}$'),
    added_at      timestamptz NOT NULL,
    -- No new buckets from then on; those that are there stay.
    closed_at     timestamptz,
    CHECK ((kind = 's3') = (endpoint IS NOT NULL AND region IS NOT NULL AND access_key IS NOT NULL AND secret IS NOT NULL))
);
CREATE UNIQUE INDEX engine_default ON gateway.engine (is_default) WHERE is_default;
CREATE UNIQUE INDEX engine_storage_class ON gateway.engine (storage_class) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX engine_location ON gateway.engine (location) WHERE closed_at IS NULL;
INSERT INTO gateway.engine (name, kind, is_default, added_at) VALUES ('disk', 'disk', true, now());

-- A bucket's number stays on one engine for good: a bucket that moves gets a new number under its name.
ALTER TABLE gateway.bucket
    ADD COLUMN engine text NOT NULL DEFAULT 'disk' REFERENCES gateway.engine,
    ADD COLUMN upstream_name text NOT NULL DEFAULT '',
    ADD CHECK ((engine = 'disk') = (upstream_name = ''));
CREATE UNIQUE INDEX bucket_upstream_name ON gateway.bucket (engine, upstream_name) WHERE upstream_name <> '';

GRANT SELECT, INSERT ON gateway.engine TO weir_gateway;
GRANT UPDATE (endpoint, region, access_key, secret, storage_class, location, features, checked_at, usage_uid, is_default, closed_at)
    ON gateway.engine TO weir_gateway;
GRANT SELECT (name, kind) ON gateway.engine TO weir_meter, weir_billing;
GRANT SELECT (engine, upstream_name) ON gateway.bucket TO weir_meter, weir_billing;
-- The name on an upstream holds the number, which must be known before the row is written.
GRANT USAGE ON SEQUENCE gateway.bucket_id_seq TO weir_gateway;
-- The meter learns where each number is, for sums by engine; a number never changes its engine.
CREATE FUNCTION gateway.tell_meter_of_bucket() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO meter.bucket_engine VALUES (NEW.id, NEW.engine);
    RETURN NEW;
END $$;
INSERT INTO meter.bucket_engine SELECT id, engine FROM gateway.bucket;
CREATE TRIGGER tell_meter_of_bucket AFTER INSERT ON gateway.bucket
    FOR EACH ROW EXECUTE FUNCTION gateway.tell_meter_of_bucket();
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.engine
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();

-- Workers of gateways as they began last. A move waits for every one of them.
CREATE TABLE gateway.worker (
    stream      uuid PRIMARY KEY,      -- its journal's, which stays the same from start to start
    incarnation uuid NOT NULL,         -- changes with each start: what a worker remembered is gone then
    label       text NOT NULL,
    host        text NOT NULL,
    started_at  timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.worker TO weir_gateway;

-- A bucket on its way to another engine. The target is a bucket that counts as deleted until it takes the name.
CREATE TABLE gateway.move (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket     bigint NOT NULL REFERENCES gateway.bucket,
    target     bigint NOT NULL UNIQUE REFERENCES gateway.bucket,
    -- What workers are asked to do, and which asking it is: an answer to an earlier one counts for nothing.
    asked      text NOT NULL DEFAULT 'nothing' CHECK (asked IN ('nothing', 'note', 'hand-over', 'hold-uploads', 'hold')),
    round      integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    switched_at timestamptz,
    ended_at   timestamptz,
    was_given_up boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX move_open ON gateway.move (bucket) WHERE ended_at IS NULL;
GRANT SELECT, INSERT ON gateway.move TO weir_gateway;
GRANT UPDATE (asked, round, switched_at, ended_at, was_given_up) ON gateway.move TO weir_gateway;

CREATE TABLE gateway.move_answer (
    move        bigint NOT NULL REFERENCES gateway.move,
    round       integer NOT NULL,
    stream      uuid NOT NULL,
    incarnation uuid NOT NULL,
    -- Every key that was written since this worker began to note them is told. Not: it had to forget some.
    is_complete boolean NOT NULL,
    PRIMARY KEY (move, round, stream)
);
GRANT SELECT, INSERT, DELETE ON gateway.move_answer TO weir_gateway;

-- Keys that members wrote while their bucket was on its way; '' is the bucket's own rules. Gone once the move ends.
CREATE TABLE gateway.move_key (
    move  bigint NOT NULL REFERENCES gateway.move,
    round integer NOT NULL,
    key   bytea NOT NULL,         -- UTF-8; a key may hold what text may not
    PRIMARY KEY (move, round, key)
);
GRANT SELECT, INSERT, DELETE ON gateway.move_key TO weir_gateway;

CREATE FUNCTION gateway.tell_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('weir_move', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tell_move AFTER INSERT OR UPDATE ON gateway.move
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.tell_move();

-- What the last look at each bucket that is not on the disk found: what lies there, and what we had counted.
CREATE TABLE gateway.inventory (
    bucket    bigint NOT NULL REFERENCES gateway.bucket,
    line      smallint NOT NULL,
    counted   bigint NOT NULL,
    listed    bigint NOT NULL,
    looked_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, line)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.inventory TO weir_gateway;
GRANT SELECT ON gateway.inventory TO weir_meter;
GRANT SELECT ON meter.storage_day TO weir_gateway;
