"""Where git keeps its objects, read without git: in files of their own, and in packs. All is hostile until hashed."""
