"""Texts from files and their names, made fit for a terminal."""


def printable(text: object) -> str:
    """Return a text in one line, its control characters as escapes; letters and emoji stay."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
