"""Pictures of what goes into a network, what it learns and what comes out."""
