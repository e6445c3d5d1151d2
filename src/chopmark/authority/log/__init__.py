"""The transparency log: what was done, in an order that nobody can change afterwards (C2SP tlog-tiles)."""
