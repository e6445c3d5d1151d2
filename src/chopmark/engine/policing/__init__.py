"""Policies at work: files judged and then decided about."""
