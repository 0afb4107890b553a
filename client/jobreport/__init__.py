"""What the report of a job shows, read from its rows and files: one file a section, and `building` for the whole."""
