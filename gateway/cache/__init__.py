"""The response cache: an equal request of the same tenant is answered without asking a model. Exact matches only."""
