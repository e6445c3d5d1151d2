"""Publish the CRL of an authority: seconds, bytes, and the kilobytes that the process took at most.

With `bare`, hash, sign and verify the published bytes instead, and print the seconds.
"""

from __future__ import annotations

import os
import resource
import sys
import time

from chopmark.authority.ca import Authority
from chopmark.authority.issuing.certificates import verified

with Authority.open(sys.argv[1]) as authority:
    signer = authority.signer(authority.issuer("code-signing"))
    if sys.argv[2:] == ["bare"]:
        with open(authority.crl_path("code-signing"), "rb") as file:  # noqa: PTH123
            data = file.read()
        began = time.perf_counter()
        verified(signer, data, "sha384")
        print(time.perf_counter() - began)
    else:
        began = time.perf_counter()
        published = authority.publish("code-signing")
        took = time.perf_counter() - began
        print(took, os.path.getsize(published.path), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # noqa: PTH202
