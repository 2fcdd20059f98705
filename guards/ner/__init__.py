"""Names of people, places and organisations, found by a small model and rules in worker processes (extra `ner`)."""
