"""Where cells are computed: several at a time, on this machine or a cluster."""
