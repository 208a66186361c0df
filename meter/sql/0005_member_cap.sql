-- What a member allows themselves: soft caps are warned of, hard caps are refused at.

-- Egress: bytes out in a calendar month, UTC. Storage: bytes stored at once. In bytes; NULL: no cap.
CREATE TABLE meter.member_cap (
    member       bigint PRIMARY KEY REFERENCES meter.member,
    egress_soft  bigint CHECK (egress_soft >= 0),
    egress_hard  bigint CHECK (egress_hard >= 0),
    storage_soft bigint CHECK (storage_soft >= 0),
    storage_hard bigint CHECK (storage_hard >= 0),
    changed_at   timestamptz NOT NULL,
    CHECK (egress_soft <= egress_hard),
    CHECK (storage_soft <= storage_hard)
);
GRANT SELECT ON meter.member_cap TO weir_meter, weir_gateway, weir_billing;
-- Operators set caps as the meter, members in the portal.
GRANT INSERT, UPDATE ON meter.member_cap TO weir_meter, weir_billing;

CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON meter.member_cap
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();

-- A gateway counts capped members from the sums and from its own journal after the place of the sums.
GRANT SELECT (id, last_sequence) ON meter.stream TO weir_gateway;
GRANT SELECT (payer, period, hour, bytes_out) ON meter.reading TO weir_gateway;
