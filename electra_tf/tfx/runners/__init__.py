"""Where pipelines run: in this process, or on a cluster."""
