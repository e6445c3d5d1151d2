"""Backups: everything that an authority is, in one archive; and making the same authority of it again.

The tables are written out row by row rather than copied as a database file, so that one form serves SQLite and
PostgreSQL, and an archive can be read by whoever has none of them.
"""
