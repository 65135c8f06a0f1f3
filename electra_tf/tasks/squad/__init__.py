"""Question answering on SQuAD's files."""
