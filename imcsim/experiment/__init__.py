"""What a study of imcsim is about: a data set, a network, its training and a chip."""
