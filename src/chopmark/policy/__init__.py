"""What suffices here: the policy language, decisions, and why."""
