"""`python -m chopmark` is `chopmark`."""

import sys

from chopmark.cli import main

sys.exit(main())
