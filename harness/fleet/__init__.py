"""Make the runs of a plan on several processes, machines or clusters. Never imports torch when it is imported."""
