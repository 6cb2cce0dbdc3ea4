"""Everything that happened, off the selling path: the tables' streams become rows, rows become pages, pages become
files, and whatever is shown reads them."""
