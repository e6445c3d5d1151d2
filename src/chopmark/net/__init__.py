"""The only code that opens client sockets."""
