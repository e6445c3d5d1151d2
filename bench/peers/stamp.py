"""make DIR KIND: a time-stamp authority. tokens DIR N, bare DIR N: seconds for N tokens, or for N bare signatures."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from chopmark import keys
from chopmark.authority.hierarchy import founding
from chopmark.authority.tsa import time_sources, timekeeping, tsa
from chopmark.envelopes import timestamp
from chopmark.keys import generate

what, place, argument = sys.argv[1:]
if what == "make":
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256")
    with founding.found(place, setup) as authority:
        key = generate.new(argument)
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
    sys.exit()
count = int(argument)
if what == "tokens":
    terms = tsa.Terms(time=timekeeping.Timekeeper(time_sources.MachineClock()))
    stamper = tsa.in_folder(place, terms=terms)
    requests = [timestamp.request(os.urandom(32), "sha256", nonce=number + 1) for number in range(count)]
    stamper.respond(requests[0])
    began = time.perf_counter()
    answers = [stamper.respond(request) for request in requests]
    print(time.perf_counter() - began)
    assert all(timestamp.token(answer, request) for answer, request in zip(answers, requests, strict=True))
else:
    signer = keys.open_key(str(Path(place, tsa.FILE)))
    data = [os.urandom(200) for _ in range(count)]
    signer.sign(data[0], "sha256")
    began = time.perf_counter()
    for each in data:
        signer.sign(each, "sha256")
    print(time.perf_counter() - began)
