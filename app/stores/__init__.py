"""The durable side: what the engine puts is written here in order, and pages read it.

Decides nothing about content.
"""
