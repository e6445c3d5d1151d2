"""Certificates and CRLs held against the rules of RFC 5280 and of the CA/Browser Forum."""
