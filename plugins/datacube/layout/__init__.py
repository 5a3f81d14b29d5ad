"""How is the data of a collection written once more, in chunks that fit another kind of request?"""
