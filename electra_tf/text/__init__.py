"""Text: vocabulary, tokenizer, corpus readers and the making of pre-training examples.

This file imports nothing, so that the parts without TensorFlow stay free of it.
"""
