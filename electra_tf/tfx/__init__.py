"""TFX components that call this library, the pipelines of them, and their runners."""
