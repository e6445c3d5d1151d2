"""Whether a log can be believed: proofs that came with a file, and whole logs, against trusted keys and memory."""
