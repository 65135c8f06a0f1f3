"""Entry points and deployment files of serving; the logic is in electra_tf.serving."""
