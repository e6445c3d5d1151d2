"""The Linux guard: only code that a policy allows runs on the file systems it protects.

    guard      life: what is protected, the two processes, reload and end
    loop       one thread that answers: events, what is known, who has to look
    judging    threads that look: lease, digest, verdict, decision
    kept       leases and the kernel's own cache: what may be answered without looking again
    world      everything verdicts and decisions depend on, and what changes with it

See docs/reference/guard.md and docs/adr/0160 to 0169.
"""
