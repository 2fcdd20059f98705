"""Guards against texts that try to take a model over: prompt injection and jailbreaks."""
