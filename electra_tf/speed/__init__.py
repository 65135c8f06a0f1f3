"""The parts of `electra_tf benchmark`."""

PEAK_SHARE = 0.4  # of a device's peak that a step is taken to reach where none was measured
