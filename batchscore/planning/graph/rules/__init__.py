"""The rule of each op: when its result is row-wise, given that its inputs are. `table` lists them."""
