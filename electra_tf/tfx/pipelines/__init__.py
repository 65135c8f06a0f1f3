"""TFX pipelines: from text to a pushed version, from a task's files to one."""
