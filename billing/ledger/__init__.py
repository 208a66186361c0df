"""The ledger: entries, their chain, the books that are read out of it."""
