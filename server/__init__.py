"""The dashboard, `pixmill server`: pages that a browser reads, made of what the client says; it never imports cli."""
