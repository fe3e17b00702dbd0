"""Where the cells of an experiment run: processes of this machine, Ray or Dask."""
