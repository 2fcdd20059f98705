"""The cases, a module for each family. A module registers its cases when it is imported."""
