"""What the commands do, callable from Python: whole runs, from a config to files."""
