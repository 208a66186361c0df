-- Why the bank gave a payment back: an ISO 20022 code of external set ExternalReturnReason1Code; empty where it did not say.
ALTER TABLE billing.payment_outcome ADD COLUMN reason text NOT NULL DEFAULT ''
    CHECK (reason ~ '^([A-Z0-9]{4})?$' AND (reason = '' OR what = 'returned'));
