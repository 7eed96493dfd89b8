"""Text, tokenizers, and the tokens made of both."""
