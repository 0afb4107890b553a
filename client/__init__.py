"""The Python client: what stands, why, and how it goes on, for whoever shows it; it knows no terminal."""
