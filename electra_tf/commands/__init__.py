"""Command lines: flags, and one call into `runs` or below."""
