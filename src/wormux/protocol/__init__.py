"""What goes over wires: frames and control messages of clients, and the agent's link.

`agent_link` stays within the standard library, since the agent imports it; nothing is imported here.
"""
