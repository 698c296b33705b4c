"""Training: from labelled files to a bundle. Needs the extra ``train``.

`birnn.training.fit` and its neighbours import torch; `birnn.train` asks for it first, so that a
missing extra is said in one line.
"""

import os
import sys

# After each of its operators torch's threads go round for milliseconds waiting for the next, on the
# processors that the recurrent layers then need: a third of an epoch. The OpenMP runtime reads
# this when torch is loaded; whoever has loaded it or set it before is left alone.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
