"""What people ask language models on any day. A text that is likelier one of these than a topic is not about the topic.

Written for this project. `bench/content.py` shows what they are worth.
"""

EVERYDAY = (
    "Please translate this text.",
    "How do I write a function in this programming language?",
    "Write a short story about a dragon.",
    "Give me a recipe for dinner.",
    "Where is my parcel?",
    "I forgot my password.",
    "Summarise this document.",
    "Which phone should I buy?",
    "What is the best music to listen to?",
    "Plan a holiday by the sea.",
    "How does this machine work?",
    "Correct the grammar of this sentence.",
    "What does this word mean?",
    "Tell me something about animals.",
    "Who invented the telephone?",
    "How do I repair my bike?",
    "Write a friendly e-mail to my team.",
    "The program shows an error message.",
    "What is two plus two?",
    "Good morning, how are you?",
    "thank you very much",
    "Which film should we watch tonight?",
    "How do I keep my plants alive?",
    "Schedule a meeting for next week.",
    "I spend time with my family and friends.",
    "What is the weather like today?",
    "When was the last football game?",
    "Find a hotel with breakfast.",
    "Cancel my subscription and send the money back.",
    "How do I learn a new language?",
)
