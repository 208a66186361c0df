-- A statement tells a member's capital account year by year: their own lots, found without reading everybody's
-- postings. In any collation, and only over lots, which are few beside charges.
CREATE INDEX posting_of_lots ON billing.posting (account text_pattern_ops) WHERE account LIKE 'capital:member:%';
