#!/usr/bin/env bash
set -o pipefail
printf '%s\n' one two | tail -n 1