"""DSA keys for tests: fixed parameters, because finding some takes long, and a private number for each label."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import dsa

_PARAMETERS = {
    1024: (
        (
            "f55673d175dc8b68a15eba33cca22ab18b2be673b2c41dcf05cd382d8ff1aa1f50cbf9ee6cfc7623c29440554039f27d0f75"
            "d959941422fd81cb71082e5942ec0601e258884ae62bbd0fe0cdcfbbe660caeaede91da9af5eeb125f384d4d1a4de07245cd"
            "c75fefdf92453360f9afc50f7ceddcb9bf300f29c4210e31d488acdb"
        ),
        "baacbfa35c944f582c86f7cdf4d689dbf845934d",
        (
            "db20f57a63e946d2f478790ddb97481b7636ff46aaff449b907318d93933f29d3fda677dd7ec5d24947f4e9047bb89ea0120"
            "6ceb4e22084f1685bb7b627ea1b5311512ec0d00ee191dfa38862a5c019815b829bb6417d434fabfc7213e43896f618a3e52"
            "27f17c2e579706f22b0dd7760b49f171e7a7827000afc94ea13ef81f"
        ),
    ),
    2048: (
        (
            "fb395b88e017fa4297458c8ab4d7b0fec8bd92975cc211d24d2bdde7a50724b2efc65ee86a264ad817843b43e6c127d0e721"
            "90e4abce73e19e3c33f61eb03c395821d0354dd5175ac8424301ae542a54f71be74446e37af9f9fce8eb6a1a5dec9a5efd0f"
            "78a8571206314fb9b35aaa0f7c4111b266d0e480e7a61ddda0e0c6c2275d236780412e3759b8d8b86ca6751b6f0100ae8f3b"
            "4ba9cb88bcc2e7aa5c6dda9fcbfbe56f78af9a3a26bf06b95dc487bb4d76c6317ab4f55b4d26262c904f71d7347a2b17932f"
            "973f9d0dde8c66722b8efcf38c5022ba29e9e91071916ae41dce0429b0c8ed40d3ea3bf74b9bae16b12b7c6cfdd6dff27055"
            "4677b8f09c0f"
        ),
        "d9a9a6c7294d295b31a8a0a9befe8eb5f09fa8946c8d3e7d4dbd02e412faadf7",
        (
            "954bff573bdf5075dc074fd53dd59faa7a76cc2ca87e038052919bf3e3cd54f8bc8b1b6d70ab77fbb08d3e1a2cc22192b7f5"
            "6dc265ea654ec42157b76c9de96554bd30133f0d12f39498f6271c307d736238aacf6c2e4dd4f089ad5bc11a58e920c14fc8"
            "7702c1cda2720413f620cf73c65883578a74fdbf7e0ddc2d1cb0f94e118f4a71ac3b7dca2fca157bfdae7303bcd67d6cb77d"
            "5f1d744a9c3f5f85066b993534f3b5c2a83e11dc96d3ddeca83c76896779adbacea449a1ad7a52cfcfa27120d72ed514ecb0"
            "2664f4df8408ad14ad5f91a6d9b0868d7e4081c96157d6773fda2fbe74e700683fbff50ef3ff4c9a91b08ab6f9155a48de1b"
            "5ef996526c2"
        ),
    ),
}
"""By bits of p: p, q and g in hex."""


def private_key(bits: int, label: str = "") -> dsa.DSAPrivateKey:
    """The key with this label."""
    p, q, g = (int(number, 16) for number in _PARAMETERS[bits])
    secret = int.from_bytes(hashlib.sha512(label.encode()).digest(), "big") % (q - 1) + 1
    public = dsa.DSAPublicNumbers(pow(g, secret, p), dsa.DSAParameterNumbers(p, q, g))
    return dsa.DSAPrivateNumbers(secret, public).private_key()
