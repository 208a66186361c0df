-- Exchanges that a crash cut: closed at the last bytes that could be shown, the rest written off.
ALTER TABLE meter.stream ADD COLUMN exchanges_cut bigint NOT NULL DEFAULT 0 CHECK (exchanges_cut >= 0);
