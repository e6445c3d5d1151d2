"""Certificates, as an authority writes them: profiles, the fields they ask for, the bytes."""
