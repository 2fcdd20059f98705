"""The database's history: one revision a change, run by `sluicegate migrate` and at every start."""
