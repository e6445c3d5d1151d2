"""systemd's units: their names, text, places and how they are merged."""
