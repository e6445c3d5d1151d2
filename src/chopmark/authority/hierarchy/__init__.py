"""Who is whose CA: founding an authority, and changing it later."""
