"""The guard's verdicts in the kernel: programs for the BPF LSM, put together here and checked by the kernel's verifier.

The programs themselves (programs.py, verity.py) are offered under GPL-2.0 or BSD-2-Clause as well, which is what they
tell the kernel: it lends helpers to such programs alone. The rest is under the licence of the project.
"""
