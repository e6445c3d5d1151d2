"""Where signatures live: one package per artifact format, each exporting `FORMAT`, found by discovery."""
