"""The tests; a package so that `tests.bed` can be imported from every one of them."""
