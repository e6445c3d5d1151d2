"""A signature appended to what it signs, as the kernel appends those of its modules."""
