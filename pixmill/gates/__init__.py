"""Gates: what a model has to pass before it may take another one's place, and how its figures are judged."""
