"""The parts of `electra_tf benchmark`."""
