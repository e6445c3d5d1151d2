"""The OCSP responder: questions over HTTP, signed answers kept and handed out, who signs them."""
