"""Tasks of one or two texts: classification, several labels, regression; GLUE."""
