"""Repairs of what the fuzzer changed: checksums, sizes and places that fit again, and what is behind them is reached.

Each takes any bytes and returns bytes, the same ones where there is nothing to mend. What is repaired is what a program
that writes such files would compute; everything that it would copy from elsewhere stays as the fuzzer left it.
"""
