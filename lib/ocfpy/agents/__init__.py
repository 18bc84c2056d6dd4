"""The agents: each module declares one, then says how to observe, start, stop and move it."""
