"""The laboratory: runs a study by this project's own commands, and tells what it came to."""
