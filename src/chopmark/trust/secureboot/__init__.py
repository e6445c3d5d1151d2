"""Whom firmware and shim trust: db, dbx and their like as facts, and what is made of a signature with them."""
