"""The time-stamp authority, and how it knows what time it is."""
