"""The CA/Browser Forum's Baseline Requirements for Code-Signing Certificates, version 3.10, as rules that run."""
