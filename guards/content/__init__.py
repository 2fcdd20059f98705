"""Content: harmful language by category, the operator's words and patterns, languages, lengths, code and links."""
