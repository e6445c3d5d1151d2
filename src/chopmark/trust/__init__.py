"""Whom to believe, and when: stores, paths, revocation, time stamps.

`store.load` says whom, `context.Context` under which circumstances, `judge.judge` gives the answer about one proof.
"""
