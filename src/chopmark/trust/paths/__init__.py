"""The way from a signer's certificate to an anchor, and every rule it has to keep (RFC 5280 clauses 4 and 6)."""
