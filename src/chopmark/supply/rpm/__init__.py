"""What rpm knows of a host, and how far the signatures in its own records prove it."""
