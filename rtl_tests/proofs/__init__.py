"""Beyond the benches: gate-level netlists, formal proofs, mutants and coverage of every block (docs/verification.md)."""
