"""Statistics of recorded runs, and the ledger of claims that rests on them."""
