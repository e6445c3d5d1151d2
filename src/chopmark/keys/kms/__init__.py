"""Keys that a cloud keeps: what the services of AWS, Google and Azure have in common, and a module for each."""
