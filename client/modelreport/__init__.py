"""What the report of a line of models shows, read from rows and files: one file a section, `building` for the whole."""
