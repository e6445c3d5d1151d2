"""Transparency logs as bytes: Merkle trees, tiles, checkpoints and proofs (RFC 6962, C2SP tlog-tiles and its kin)."""
