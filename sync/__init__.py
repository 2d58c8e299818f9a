"""The content half: keeps every node identical to the publish directory. Knows nothing of Flask, SQL or DNS."""
