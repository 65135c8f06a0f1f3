"""Entry points of what runs as a pipeline; the logic is in electra_tf."""
