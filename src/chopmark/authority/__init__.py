"""The authority as a library: CAs that issue and revoke (`ca`), lists, OCSP and time stamps. HTTP lives in server/."""
