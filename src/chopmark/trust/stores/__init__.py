"""Trust stores: who is believed, and for what."""
