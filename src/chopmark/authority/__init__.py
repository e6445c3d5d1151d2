"""The authority as a library: certificates and CRLs (`ca`), time stamps (`tsa`). HTTP lives in server/."""
