"""The register: what an authority remembers, in a database; all SQL is here."""
