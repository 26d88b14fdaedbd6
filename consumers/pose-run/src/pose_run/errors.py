"""The one error that users can cause."""


class ExportError(Exception):
    """A folder, an image, a video or boxes cannot be used; the message is one line that says what to do."""
