-- Members' own pages: sessions they can tell apart and end, and what they may change about themselves.

-- A number names a session on its page, where its digest stays out of sight; from where it was begun, as it was told.
ALTER TABLE billing.session ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE billing.session ADD COLUMN address text NOT NULL DEFAULT '' CHECK (length(address) <= 64);
ALTER TABLE billing.session ADD COLUMN agent text NOT NULL DEFAULT '' CHECK (length(agent) <= 200);

-- A one-time link is looked for by the address that asked; capitals make no difference.
CREATE INDEX member_by_email ON meter.member (lower(email)) WHERE email <> '';

-- Names and addresses are read and changed one member at a time; the table itself stays the owner's.
CREATE FUNCTION billing.own_particulars(p_member bigint)
    RETURNS TABLE (operation bigint, legal_name text, postal text, email text, purposes text, told_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.operation, p.legal_name, p.postal, p.email, p.purposes, o.recorded_at
    FROM billing.particulars AS p JOIN billing.operation AS o ON o.number = p.operation
    WHERE p.member = p_member ORDER BY p.operation
$$;

CREATE FUNCTION billing.change_own_particulars(
    p_member bigint, p_legal_name text, p_postal text, p_email text, p_purposes text, p_at timestamptz
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entered bigint;
BEGIN
    PERFORM billing.lock_books();
    SELECT coalesce(max(number), 0) + 1 INTO entered FROM billing.operation;
    INSERT INTO billing.operation (number, kind, member, who, effective_at, recorded_at)
        VALUES (entered, 'address', p_member, 'the member, in the portal', p_at, p_at);
    INSERT INTO billing.particulars (operation, member, legal_name, postal, email, purposes)
        VALUES (entered, p_member, p_legal_name, p_postal, p_email, p_purposes);
    UPDATE meter.member SET email = p_email WHERE id = p_member AND email <> p_email;
    RETURN entered;
END $$;

REVOKE EXECUTE ON FUNCTION billing.own_particulars, billing.change_own_particulars FROM PUBLIC;
GRANT EXECUTE ON FUNCTION billing.own_particulars, billing.change_own_particulars TO weir_billing;
