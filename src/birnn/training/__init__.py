"""Training: from labelled files to a bundle. Needs the extra ``train``.

`birnn.training.fit` and its neighbours import torch; `birnn.train` asks for it first, so that a
missing extra is said in one line.
"""
