"""What wheels and sdists share: how they are named, and what they say of themselves (specifications of PyPA)."""
