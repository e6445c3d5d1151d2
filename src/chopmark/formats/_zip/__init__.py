"""What formats share that are ZIP archives: read in one way only, or not at all (PKWARE's APPNOTE.TXT)."""
