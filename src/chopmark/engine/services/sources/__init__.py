"""Where things are told to start: one module for each kind, found by discovery. Each exports `entries(host)`."""
