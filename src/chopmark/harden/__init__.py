"""The same policy in other systems' own languages: one module for each of them, found by discovery."""
