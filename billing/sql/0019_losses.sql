-- Beside a member's capital account stands their part of losses that is still to be met: found, like lots, without
-- reading everybody's postings, in any collation.
CREATE INDEX posting_of_losses ON billing.posting (account text_pattern_ops) WHERE account LIKE 'loss:member:%';
