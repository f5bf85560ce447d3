"""Which keys a board holds and how far each is used: key set, records, ledger, key store."""
