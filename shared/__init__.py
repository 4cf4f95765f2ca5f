"""What services share: words (`events`), the form of a bill (`bills`) and plumbing (`kit`); nothing else."""
