"""What a pre-trained model knows, asked without training it."""
