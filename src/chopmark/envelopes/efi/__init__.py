"""What UEFI keeps of keys: signature lists, the variables that they stand in, and signed updates of those."""
