"""`make docs`: README.md, docs/ and what the code says of itself as a site with every asset inside."""
