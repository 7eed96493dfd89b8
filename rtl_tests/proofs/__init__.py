"""Beyond the benches: netlists, formal proofs, mutants and coverage of every block (docs/verification.md)."""
