"""Ceremonies: what must not be one person's decision is written down, approved by several, carried out once, recorded.

A plan is a file. Each approver signs it, detached, with their own key; the authority knows the keys and how many
approvals it takes. The plan is bound to one authority and ends at a date.
"""
