"""CMS SignedData (RFC 5652) and PKCS #7 1.5: read strictly, checked, built; original bytes are what is hashed."""

from chopmark.envelopes.cms.building import Draft, add_unsigned, draft, resume
from chopmark.envelopes.cms.checking import check
from chopmark.envelopes.cms.envelope import CmsEnvelope
from chopmark.envelopes.cms.reading import SignedData, SignerInfo, read

__all__ = ["CmsEnvelope", "Draft", "SignedData", "SignerInfo", "add_unsigned", "check", "draft", "read", "resume"]
