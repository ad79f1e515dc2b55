"""The training loop, its optimisers and its schedules."""
