"""N bare RSA signatures with the key of a PEM file, timed inside: what signing N files cannot undercut on one core."""

import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

key = load_pem_private_key(Path(sys.argv[1]).read_bytes(), None)
assert isinstance(key, rsa.RSAPrivateKey)
began = time.perf_counter()
for number in range(int(sys.argv[2])):
    key.sign(number.to_bytes(200, "big"), padding.PKCS1v15(), SHA256())
print(time.perf_counter() - began)
