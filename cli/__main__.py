"""`python -m cli` is the `pixmill` command."""

from cli.main import main

if __name__ == "__main__":
    main()
