"""The parts of the Anthropic door: the request, its messages, the reply, the stream."""
