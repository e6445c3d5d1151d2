#!/usr/bin/env python3
# -*- coding: utf-8 -*-
"""A script in CR LF, whose last statement is a text in triple quotes."""

print("done")

"""the end"""
