"""Leaks of the system prompt: a reply that repeats it word for word, or holds a canary planted in it.

A repetition is a run of so many words in a row, whatever their case and what stands between them. What the caller sent
in any other place (turns of the user, tool definitions, tool results) is the caller's own to hear. A prompt that is
retold in other words, translated or encoded is not found.
"""
