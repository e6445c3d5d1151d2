"""HTTP in front of the authority."""
