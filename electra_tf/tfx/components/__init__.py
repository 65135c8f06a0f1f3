"""TFX components that call this library."""
