"""What starts by itself on a Linux system: found in a live host or an image, taken apart, signed and judged."""
