"""Many runs: processes of this machine, sweeps, clusters."""
