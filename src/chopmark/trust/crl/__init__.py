"""Revocation lists (RFC 5280 clauses 5 and 6.3): where they come from, what they say, who signed them."""
