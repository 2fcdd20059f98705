"""Topics: which texts are about something they should not be about, by their likeness to example sentences."""
