"""Tagging of words, and the spans that tags mean."""
