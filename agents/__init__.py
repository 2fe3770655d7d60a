"""Who works: the roster of five roles, the belt that takes their tool calls to the door, and the models they think
with.
"""
