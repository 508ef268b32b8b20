-- The number that an account keeps at its forge when its name is changed, and
-- another takes the name; null: proved before numbers were kept.
ALTER TABLE proofs ADD COLUMN account_id BIGINT;
CREATE INDEX proofs_account_id ON proofs (forge, account_id);
CREATE INDEX proofs_login ON proofs (forge, login);
