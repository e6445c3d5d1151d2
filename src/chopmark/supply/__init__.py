"""Software of others: where it comes from, and what shows that."""
