-- Where a form led that was sent: whoever presses its button twice is sent there again, and nothing is done twice.
-- A row says neither whose form it was nor what it did but for the page that came after; it is kept for a day. No vote
-- leaves one: rows lie in the order they came, and would stand beside the ballots.
CREATE TABLE billing.form_sent (
    form_sha256 bytea PRIMARY KEY CHECK (length(form_sha256) = 32),
    led_to      text NOT NULL CHECK (led_to ~ '^/[^/]' AND length(led_to) <= 200),
    sent_at     timestamptz NOT NULL
);
CREATE INDEX form_sent_by_age ON billing.form_sent (sent_at);

-- A form that is sent twice at once is taken one after the other.
CREATE FUNCTION billing.lock_form(form_sha256 bytea) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1718579821, hashtext(encode(form_sha256, 'hex')));
$$;

GRANT SELECT, INSERT, DELETE ON billing.form_sent TO weir_billing, weir_office;
