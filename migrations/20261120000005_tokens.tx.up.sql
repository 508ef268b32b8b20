-- Which account system a token's user logged in at, and how the token begins.
ALTER TABLE tokens ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
--bun:split
ALTER TABLE tokens ADD COLUMN hint TEXT NOT NULL DEFAULT '';
--bun:split
CREATE INDEX tokens_expiry ON tokens (expires_at);
