"""OCSP answers as a source of revocation data beside lists (RFC 6960 clause 3.2).

`source.OcspSource` has them from files, the cache and the network, `answer.Answer` says what one of them says about a
certificate, `asking.Answers` what all of them come to.
"""
