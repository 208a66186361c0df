-- What members set on a bucket beside its name, limits of stored bytes, and what a key may do.

-- One document a bucket and subject, as the gateway writes it after reading the member's. What decides
-- inside a commit (versions, locks) is not here but with the bytes, in the storage engine.
CREATE TABLE gateway.bucket_document (
    bucket     bigint NOT NULL REFERENCES gateway.bucket,
    subject    text NOT NULL CHECK (subject IN (
        'acl', 'cors', 'encryption', 'lifecycle', 'ownership', 'policy', 'public-access-block', 'tagging', 'website'
    )),
    document   text NOT NULL CHECK (octet_length(document) BETWEEN 1 AND 262144),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, subject)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.bucket_document TO weir_gateway;
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.bucket_document
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();

-- Limits in bytes; no row, or NULL: no limit.
ALTER TABLE gateway.bucket ADD COLUMN bytes_max bigint CHECK (bytes_max >= 0);
GRANT UPDATE (bytes_max) ON gateway.bucket TO weir_gateway;

CREATE TABLE gateway.member_limit (
    member    bigint PRIMARY KEY REFERENCES meter.member,
    bytes_max bigint CHECK (bytes_max >= 0)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.member_limit TO weir_gateway;
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON gateway.member_limit
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();

-- NULL: the key may do whatever its member may. Else the gateway's JSON of what it is held to.
ALTER TABLE gateway.access_key ADD COLUMN scope jsonb;
