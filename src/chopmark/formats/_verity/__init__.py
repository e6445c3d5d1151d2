"""Trees of digests over a file or a volume, as the kernel's fs-verity and dm-verity check them block by block."""
