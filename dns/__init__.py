"""The DNS half: turns fit nodes into records at a provider. Knows nothing of Flask, SQL or the content half."""
