"""What several methods are made of: heads, prototypes, evidence, windows, settings."""
