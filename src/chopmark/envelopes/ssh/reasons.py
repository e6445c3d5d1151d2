"""What checking signatures made with SSH keys can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_AGAIN = "Have it signed anew with ssh-keygen -Y sign -n file."
_SSHSIG = "PROTOCOL.sshsig"

FORM = Reason(
    "ssh.form", NO, "The signature file is not as ssh-keygen -Y writes it.", _GET_ANEW, _SSHSIG, ("T1036.001",)
)
ALGORITHM = Reason(
    "ssh.algorithm",
    NO,
    "The signature uses a kind of key, signature or digest that is unknown, or not allowed any more (such as SHA-1).",
    _AGAIN,
    "PROTOCOL.sshsig, RFC 8332",
)
SIGNATURE = Reason("ssh.signature", OK, "The signature is the key's own over this content.", cites=_SSHSIG)
SIGNATURE_WRONG = Reason(
    "ssh.signature_wrong",
    NO,
    "The signature is not the key's own over this content: the file was changed, or another key signed it.",
    _GET_ANEW,
    _SSHSIG,
    ("T1554", "T1036.001"),
)
NAMESPACE = Reason(
    "ssh.namespace",
    NO,
    "The signature was made for another use than signing files, and could have been taken from there.",
    _AGAIN,
    _SSHSIG,
    ("T1036.001",),
)
CERTIFICATE = Reason("ssh.certificate", OK, "The key's certificate is its authority's own.", cites="PROTOCOL.certkeys")
CERTIFICATE_WRONG = Reason(
    "ssh.certificate_wrong",
    NO,
    "The certificate of the key is not its authority's own, or is not for signing by a person.",
    "Have it signed with a user certificate that the authority issued.",
    "PROTOCOL.certkeys",
    ("T1036.001",),
)
UNTOUCHED = Reason("ssh.untouched", INFO, "The security key signed without anybody touching it.", cites="PROTOCOL.u2f")
