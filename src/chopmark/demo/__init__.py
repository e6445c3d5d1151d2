"""The show: a CA and a time-stamp authority, real files, attacks on them, and what is said of each, and why."""
