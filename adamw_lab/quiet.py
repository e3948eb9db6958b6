"""What a server of forked kernels imports first: variables of its own, set before any library reads them.

No threads of OpenBLAS, nor of the allocator that PyArrow brings: a fork has none of them. And no word of the debugger
on frozen modules.
"""

import os

os.environ.update({"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false",
                   "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
