"""What formats share that hold compressed data: streams of it, uncompressed piece by piece and strictly."""
