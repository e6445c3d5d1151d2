"""How a signature is wrapped: DER and CMS, time-stamp tokens, Authenticode; no files and no trust."""
