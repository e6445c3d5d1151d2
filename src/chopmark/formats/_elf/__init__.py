"""As much of ELF (gABI 4.2) as signing needs: the header and the two tables, of either class and byte order."""
