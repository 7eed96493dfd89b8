"""What the benches notice: mutants and coverage."""
