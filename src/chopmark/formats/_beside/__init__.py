"""What formats share whose signature is a file beside the signed one, made with a key that has no certificate."""
