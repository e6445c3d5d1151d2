"""What formats share that hold tar files: their entries, hashed as they go by, in the one way to read them."""
