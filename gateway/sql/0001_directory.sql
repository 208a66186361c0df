-- The directory: access keys and buckets. Gateways keep a copy and serve from it while Postgres is away.

CREATE SCHEMA gateway;
GRANT USAGE ON SCHEMA gateway TO weir_gateway, weir_meter, weir_billing;

-- Secrets are kept encrypted: SigV4 needs them back, so a hash would not do.
CREATE TABLE gateway.access_key (
    access_key text PRIMARY KEY CHECK (access_key ~ '^[A-Z0-9]{20}$'),
    member     bigint NOT NULL REFERENCES meter.member,
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE gateway.bucket (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    owner      bigint NOT NULL REFERENCES meter.member,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
-- A deleted bucket keeps its row: readings name it for as long as they are kept.
CREATE UNIQUE INDEX bucket_name ON gateway.bucket (name) WHERE deleted_at IS NULL;
CREATE INDEX bucket_owner ON gateway.bucket (owner);

-- What the operation codes in readings mean; written from the gateway's operation table at each start.
CREATE TABLE gateway.operation (
    code  smallint PRIMARY KEY,
    name  text NOT NULL
);

GRANT SELECT, INSERT ON gateway.access_key, gateway.bucket TO weir_gateway;
GRANT SELECT, INSERT, UPDATE ON gateway.operation TO weir_gateway;
GRANT UPDATE (revoked_at) ON gateway.access_key TO weir_gateway;
GRANT UPDATE (deleted_at) ON gateway.bucket TO weir_gateway;
GRANT SELECT (id, name, owner) ON gateway.bucket TO weir_meter, weir_billing;
GRANT SELECT ON gateway.operation TO weir_meter, weir_billing;

CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.access_key
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.bucket
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();
