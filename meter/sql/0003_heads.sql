-- Signed heads: what the journal was on a day, said so that nobody can change it afterwards unseen.

CREATE TABLE meter.head (
    number     bigint PRIMARY KEY CHECK (number >= 1),
    day        date NOT NULL,                                -- the UTC day it was made on
    month      date REFERENCES meter.closed_month (month),   -- of a head made for a closing
    document   text NOT NULL,                                -- the signed bytes, canonical JSON
    signature  bytea NOT NULL CHECK (length(signature) = 64),
    public_key bytea NOT NULL CHECK (length(public_key) = 32)
);
CREATE UNIQUE INDEX head_of_day ON meter.head (day) WHERE month IS NULL;
CREATE UNIQUE INDEX head_of_month ON meter.head (month) WHERE month IS NOT NULL;

-- Segments that were taken away because they were old: of this stream, this one and all before it.
CREATE TABLE meter.removed (
    stream     uuid NOT NULL,
    number     bigint NOT NULL,
    through    date NOT NULL REFERENCES meter.closed_month (month),   -- all of it was billed up to this month
    head       bigint NOT NULL REFERENCES meter.head (number),        -- a signed head that covers them
    removed_at timestamptz NOT NULL,
    PRIMARY KEY (stream, number),
    FOREIGN KEY (stream, number) REFERENCES meter.segment (stream, number)
);

CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.head
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.removed
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();

GRANT SELECT ON meter.head, meter.removed TO weir_meter, weir_billing;
GRANT INSERT ON meter.head, meter.removed TO weir_meter;
