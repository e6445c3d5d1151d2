#!/bin/sh
# Greets, then tells how many arguments it got.
set -eu
cat <<END
hello from $(basename "$0")
END
echo "$# arguments"
exit 0

# -----begin chopmark signature-----
# AAAA
# -----end chopmark signature-----
