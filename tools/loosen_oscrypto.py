"""Let the installed oscrypto accept OpenSSL versions of more than one digit, such as 3.0.19.

signify, one of the peers, imports oscrypto, which looks for the version of libcrypto with a pattern that knows single
digits only and then refuses to load. Only the copy in the running virtual environment is changed; running this twice
changes nothing.
"""

import importlib.util
import sys
from pathlib import Path

STRICT = r"\\b(\\d\\.\\d\\.\\d[a-z]*)\\b"
LOOSE = r"\\b(\\d+\\.\\d+\\.\\d+[a-z]*)\\b"
MODULES = ("_openssl/_libcrypto_cffi.py", "_openssl/_libcrypto_ctypes.py")


def loosen(module: Path) -> bool:
    """Replace the version pattern in one module of oscrypto; False when neither pattern is in it."""
    source = module.read_text(encoding="utf-8")
    if STRICT in source:
        module.write_text(source.replace(STRICT, LOOSE), encoding="utf-8")
    return STRICT in source or LOOSE in source


def main() -> int:
    """Loosen every module that looks for the version; 1 when oscrypto is absent or has changed its ways."""
    if sys.prefix == sys.base_prefix:
        print("refusing to change an oscrypto outside a virtual environment", file=sys.stderr)
        return 1
    found = importlib.util.find_spec("oscrypto")
    if found is None or found.origin is None:
        print("oscrypto is not installed", file=sys.stderr)
        return 1
    package = Path(found.origin).parent
    unknown = [name for name in MODULES if not loosen(package / name)]
    for name in unknown:
        print(f"oscrypto/{name} looks for OpenSSL's version in an unknown way", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
