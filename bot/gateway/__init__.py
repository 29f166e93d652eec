"""What a box may reach, and the only place that holds secrets."""
