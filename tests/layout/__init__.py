"""What a newcomer need not remember: imports, sizes, generated files, completeness."""
