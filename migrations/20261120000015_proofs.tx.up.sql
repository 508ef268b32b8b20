-- Whose an account at a forge is, as the account itself said there and the
-- account system confirmed. The account is in lower case.
CREATE TABLE proofs (
	forge TEXT NOT NULL,
	account TEXT NOT NULL,
	login TEXT NOT NULL,
	proved_at {{.Time}} NOT NULL,
	PRIMARY KEY (forge, account)
);
