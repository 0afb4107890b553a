"""One file a subject: what its pages ask of the database, and what they show of it."""
