"""The failover story, played in the lab, shown live, and written down as report.json and timeline.png."""
