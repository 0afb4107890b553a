"""What a data set can be written as."""

from typing import Literal

OutputFormat = Literal["webdataset", "parquet", "files", "raw"]
ImageEncoder = Literal["png", "png-small", "webp", "jpeg"]

MAX_FILES = 100_000  # of format `files`; beyond it folders become slow
FILES_REFUSED = "format files is a folder for each class, which a bucket has not (storage.outputs)"
FILES_HINT = "choose another format: pixmill output export ID --format files makes the folders anywhere"
