-- In which language a member is told things, where they chose one. The code knows which languages there are.
CREATE TABLE billing.member_language (
    member bigint PRIMARY KEY REFERENCES meter.member (id),
    language text NOT NULL CHECK (language ~ '^[a-z]{2}$'),
    set_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON billing.member_language TO weir_billing;
