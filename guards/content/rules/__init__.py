"""What harmful language looks like, as weighted patterns, in English, German, French and Spanish."""
