"""Looking inside a model: the numbers of one text first, pictures of them after."""
