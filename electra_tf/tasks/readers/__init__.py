"""Readers of files and data sets that several tasks share."""
