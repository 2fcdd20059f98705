"""What every OpenAI-compatible gateway should get right, as a suite that runs against any of them by URL.

A scripted upstream plays a provider's faults; a case asks the gateway for something and looks at what comes out on both
sides. Nothing here knows a gateway from inside, this project's own included: what one can do and how it is told so
stands in a profile.
"""
