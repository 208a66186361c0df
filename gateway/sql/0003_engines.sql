-- Storage engines beyond this machine's disk, and on which one each bucket is.

CREATE TABLE gateway.engine (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    kind          text NOT NULL CHECK (kind IN ('disk', 's3')),
    -- Of an S3 endpoint: where it is, and the one account that is ours there. The secret is sealed like a member's.
    endpoint      text CHECK (endpoint ~ '^https?://[^/]+$'),
    region        text,
    access_key    text,
    secret        bytea,
    bucket_prefix text NOT NULL DEFAULT '' CHECK (bucket_prefix ~ '^[a-z0-9-]{0,20}$'),
    -- By which a member chooses it when a bucket is made; NULL: by its name only.
    storage_class text,
    location      text,
    is_default    boolean NOT NULL DEFAULT false,
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
GRANT UPDATE (endpoint, region, access_key, secret, storage_class, location, is_default, closed_at) ON gateway.engine TO weir_gateway;
GRANT SELECT (name, kind) ON gateway.engine TO weir_meter, weir_billing;
GRANT SELECT (engine) ON gateway.bucket TO weir_meter, weir_billing;
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.engine
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();
