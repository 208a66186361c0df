-- Which master keys a gateway can open secrets with, by their fingerprints, as it last said: a new key comes into
-- force only when every gateway has it.

ALTER TABLE gateway.gateway ADD COLUMN opens text[] NOT NULL DEFAULT '{}';
