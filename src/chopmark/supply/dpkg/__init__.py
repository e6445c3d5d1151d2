"""What dpkg knows of a host, and how far the packages that are at hand prove it."""
