"""Catalogs: making one of a tree, comparing a tree or another catalog with one, trusting files through one."""
