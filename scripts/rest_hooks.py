"""What schemathesis must not take for valid, although the patterns of the document do.

Characters that are not seen are refused everywhere; beyond the first plane no pattern can say so to every reader."""

import schemathesis

UNSEEN = [(0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)]


def is_seen(value):
    if isinstance(value, str):
        return not any(first <= ord(character) <= last for character in value for first, last in UNSEEN)
    if isinstance(value, dict):
        return all(is_seen(name) and is_seen(part) for name, part in value.items())
    if isinstance(value, list):
        return all(map(is_seen, value))
    return True


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return is_seen(path_parameters)


@schemathesis.hook
def filter_query(context, query):
    return is_seen(query)


@schemathesis.hook
def filter_body(context, body):
    return is_seen(body)
