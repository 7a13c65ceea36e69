"""Mutates C by rules: each mutation is one small mistake in one function.

The automatic set of scripts/mutants uses it for fast/, and scripts/prove-mutants for ref/.

The rules rely on the layout of clang-format: the braces of a function stand in the first column, a binary operator has
a space on both sides, and a unary operator has none. So tokens are enough, and nothing here parses C. The compiler
rejects mutations that make no sense. A mutation never adds or removes a line, so line numbers in assertions stay.

Three things are left alone: assertions, because they only state what is true; the text of errors, but not their class;
and the calls that initialise and destroy locks, which do nothing on Linux if the memory is zeroed.
"""

import re
from collections import Counter

TOKEN = re.compile(
    r"""(?P<space>\s+|\\\n)
    |(?P<comment>/\*.*?\*/|//[^\n]*)
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<number>\d\w*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<operator><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)""",
    re.S | re.X,
)
FUNCTION = re.compile(
    r"^(?P<type>(?:[a-z_]\w*[ *]+)+)(?P<name>\w+)\((?P<parameters>[^;{}]*)\)\n\{\n(?P<body>.*?)^\}", re.M | re.S
)

BY_ONE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
TURNED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&"}
ARITHMETIC |= {"+=": "-=", "-=": "+=", "|=": "&="}
STEPS = {"++": "--", "--": "++"}
WEAKER = {  # an operation -> what it is called with another order, and the weaker orders
    "sync_load": ("atomic_load_explicit", ("acquire", "relaxed")),
    "sync_load_acquire": ("atomic_load_explicit", ("relaxed",)),
    "sync_pointer_load": ("atomic_load_explicit", ("relaxed",)),
    "sync_store": ("atomic_store_explicit", ("release", "relaxed")),
    "sync_store_release": ("atomic_store_explicit", ("relaxed",)),
    "sync_pointer_set": ("atomic_store_explicit", ("relaxed",)),
    "sync_add": ("atomic_fetch_add_explicit", ("acq_rel", "acquire", "release", "relaxed")),
    "sync_subtract": ("atomic_fetch_sub_explicit", ("acq_rel", "acquire", "release", "relaxed")),
    "sync_or_release": ("atomic_fetch_or_explicit", ("relaxed",)),
}
WEAKER_ORDERS = {  # an operation of C11 and its orders -> weaker ones
    "atomic_load_explicit": {("seq_cst",): [("acquire",), ("relaxed",)], ("acquire",): [("relaxed",)]},
    "atomic_store_explicit": {("seq_cst",): [("release",), ("relaxed",)], ("release",): [("relaxed",)]},
    "update": {
        ("seq_cst",): [("acq_rel",), ("acquire",), ("release",), ("relaxed",)],
        ("release",): [("relaxed",)],
        ("relaxed",): [],
    },
    # With the order of a failure, which must not be stronger.
    "atomic_compare_exchange_strong_explicit": {
        ("acq_rel", "acquire"): [
            ("acq_rel", "relaxed"),
            ("acquire", "acquire"),
            ("release", "relaxed"),
            ("relaxed", "relaxed"),
        ]
    },
}
WORDING = {"assert", "addcow_fail", "snprintf", "vsnprintf", "va_start", "va_end", "sizeof", "strerror_r"}
CLASSES = {
    "ADDCOW_IO": "ADDCOW_NOSPACE",
    "ADDCOW_NOSPACE": "ADDCOW_IO",
    "ADDCOW_RANGE": "ADDCOW_IO",
    "ADDCOW_READONLY": "ADDCOW_IO",
    "ADDCOW_BUSY": "ADDCOW_IO",
    "ADDCOW_UNLINKABLE": "ADDCOW_IO",
    "ADDCOW_UNSUPPORTED": "ADDCOW_MALFORMED",
    "ADDCOW_MALFORMED": "ADDCOW_UNSUPPORTED",
}
INERT = {"sync_mutex_init", "sync_mutex_destroy", "sync_cond_init", "sync_cond_destroy"}
KEYWORDS = set(
    "if else for while do switch case default return break continue goto sizeof struct enum union static const "
    "unsigned int char void bool typedef extern".split()
)


class Token:
    def __init__(self, match, offset):
        self.kind, self.text = match.lastgroup, match.group()
        self.start, self.end = match.start() + offset, match.end() + offset


class Mutation:
    """One change of one function: `pieces` are (start, end, text) in the file, in order."""

    def __init__(self, function, kind, pieces):
        self.function, self.kind, self.pieces = function, kind, sorted(pieces)
        self.file = self.name = self.key = self.text = None

    def finish(self, file, text):
        """Makes the new text of the file, and the key of the mutation.

        The key is the changed lines before and after, so it stays the same when other code changes.
        """
        self.file = file
        first, last = self.pieces[0][0], self.pieces[-1][1]
        begin, end = text.rfind("\n", 0, first) + 1, text.find("\n", last)
        changed, position = "", 0
        for start, stop, new in self.pieces:
            changed += text[position:start] + new
            position = stop
        self.text = changed + text[position:]
        old, new = text[begin:end], self.text[begin : end + len(self.text) - len(text)]
        if self.kind == "unlocked":
            old, new = "all locks", "none"
        self.key = f"{file}:{self.function}", " ".join(old.split()), " ".join(new.split())


class Function:
    """The tokens of a function's body, and the rules that change them."""

    def __init__(self, match, text):
        self.name, self.text = match.group("name"), text
        self.type = match.group("type").replace("static", "").replace("inline", "").strip()
        offset = match.start("body")
        self.tokens = [Token(found, offset) for found in TOKEN.finditer(match.group("body"))]
        self.tokens = [token for token in self.tokens if token.kind not in ("space", "comment")]
        self.partner = self.match_brackets()
        self.wording = self.find_wording()

    def match_brackets(self):
        partner, open_ones = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in "([{" and token.kind == "operator":
                open_ones.append(i)
            elif token.text in ")]}" and token.kind == "operator":
                start = open_ones.pop()
                partner[start], partner[i] = i, start
        return partner

    def find_wording(self):
        """The indices of tokens that are only wording."""
        found = set()
        for i, token in enumerate(self.tokens):
            if token.text in WORDING and i + 1 in self.partner:
                found.update(range(i, self.partner[i + 1] + 1))
        return found

    def span(self, first, last):
        """The text of the tokens [first, last]."""
        return self.text[self.tokens[first].start : self.tokens[last].end]

    def replace(self, kind, first, last, new):
        """Replaces the tokens [first, last] and keeps the number of lines."""
        start, end = self.tokens[first].start, self.tokens[last].end
        missing = self.text.count("\n", start, end) - new.count("\n")
        return Mutation(self.name, kind, [(start, end, new + "\n" * missing)])

    def is_binary(self, i):
        token = self.tokens[i]
        return self.text[token.start - 1].isspace() and self.text[token.end].isspace()

    def statement_end(self, i):
        """The index of the semicolon that ends the statement that begins at token i, or None."""
        while i < len(self.tokens):
            if self.tokens[i].text == ";":
                return i
            if self.tokens[i].text in "{}":
                return None
            i = self.partner[i] + 1 if self.tokens[i].text in ("(", "[") else i + 1
        return None

    def begins_statement(self, i):
        before = self.tokens[i - 1].text if i > 0 else "{"
        if before in (";", "{", "}", "else", "do"):
            return i == 0 or not self.in_parentheses(i)
        if before == ")":
            opening = self.partner[i - 1]
            return self.tokens[opening - 1].text in ("if", "for", "while", "switch")
        return before == ":" and self.tokens[i - 2].kind in ("name", "number") and self.tokens[i - 3].text == "case"

    def in_parentheses(self, i):
        return any(self.tokens[start].text == "(" and start < i < end for start, end in self.partner.items())

    # ---- The rules ----

    def operators(self):
        for i, token in enumerate(self.tokens):
            if i in self.wording or token.kind != "operator":
                continue
            if token.text in STEPS:
                yield self.replace("step-turned", i, i, STEPS[token.text])
            if not self.is_binary(i):
                continue
            for kind, table in (("by-one", BY_ONE), ("turned", TURNED), ("logic", LOGIC), ("arithmetic", ARITHMETIC)):
                if token.text in table:
                    yield self.replace(kind, i, i, table[token.text])

    def constants(self):
        for i, token in enumerate(self.tokens):
            if token.text in CLASSES and not self.is_case(i):
                yield self.replace("class", i, i, CLASSES[token.text])
            if i in self.wording:
                continue
            if token.text in ("true", "false"):
                yield self.replace("constant", i, i, "false" if token.text == "true" else "true")
            found = re.fullmatch(r"(0[xX][0-9a-fA-F]+|0|[1-9]\d*)([uUlL]*)", token.text)
            if token.kind == "number" and found:
                value = int(found.group(1), 0)
                yield self.replace("more", i, i, f"{value + 1}{found.group(2)}")
                if value > 0:
                    yield self.replace("less", i, i, f"{value - 1}{found.group(2)}")

    def is_case(self, i):
        return self.tokens[i - 1].text == "case"

    def statements(self):
        for i, token in enumerate(self.tokens):
            if i in self.wording or token.text in INERT or not self.begins_statement(i):
                continue
            end = self.statement_end(i)
            if end is None:
                continue
            simple = token.kind == "name" and (token.text not in KEYWORDS or token.text in ("break", "continue"))
            simple = simple or (token.kind == "operator" and token.text in ("*", "(", "++", "--"))
            if simple and not self.is_declaration(i) and self.span(i, i + 2) != "(void)":
                yield self.replace("drop", i, end, ";")
            if token.text == "return" and end > i + 1:
                yield from self.returns(i + 1, end - 1)

    def is_declaration(self, i):
        """True if a name follows token i, or a pointer's star."""
        if i + 1 == len(self.tokens):
            return False
        return self.tokens[i + 1].kind == "name" or (self.tokens[i + 1].text == "*" and not self.is_binary(i + 1))

    def returns(self, first, last):
        value = self.span(first, last)
        if self.type == "enum addcow_status" and value != "ADDCOW_OK":
            yield self.replace("error-dropped", first, last, f"((void)({value}), ADDCOW_OK)")
        elif self.type == "bool":
            if value not in ("true", "false"):
                yield self.replace("return", first, last, f"!({value})")
        elif "*" in self.type and value != "NULL":
            yield self.replace("return", first, last, "NULL")
        elif re.search(r"int|size_t|unsigned", self.type):
            if value != "0":
                yield self.replace("return", first, last, "0")
            yield self.replace("return", first, last, f"({value}) + 1")

    def errors(self):
        """An assignment of a status that loses its value."""
        classes = set(re.findall(r"enum addcow_status (\w+)\b", self.text_of_body()))
        for i, token in enumerate(self.tokens[:-2]):
            if token.text not in classes or self.tokens[i + 1].text != "=" or self.tokens[i + 2].text == "ADDCOW_OK":
                continue
            end = self.statement_end(i)
            if end is None or self.tokens[i - 1].text == ",":
                continue
            value = self.span(i + 2, end - 1)
            if "(" in value:
                yield self.replace("error-dropped", i + 2, end - 1, f"((void)({value}), ADDCOW_OK)")

    def text_of_body(self):
        return self.span(0, len(self.tokens) - 1)

    def conditions(self):
        for i, token in enumerate(self.tokens):
            if token.text in ("if", "while") and i + 1 in self.partner:
                condition = self.span(i + 2, self.partner[i + 1] - 1)
                yield self.replace("negated", i + 2, self.partner[i + 1] - 1, f"!({condition})")
                if token.text == "if":
                    yield self.replace("never", i + 2, self.partner[i + 1] - 1, f"0 && ({condition})")
            elif token.text == "?":
                yield from self.choice(i)

    def choice(self, i):
        """The two sides of a conditional expression that stands alone between =, return or ( and : are too hard to
        find; negate it."""
        start, depth = i - 1, 0
        while start >= 0:
            text = self.tokens[start].text
            if text in (")", "]"):
                start = self.partner[start]
            elif text in ("(", "[", "{", ";", ",", "=", "return", ":", "?"):
                break
            start -= 1
        if start + 1 <= i - 1:
            yield self.replace("negated", start + 1, i - 1, f"!({self.span(start + 1, i - 1)})")

    def arguments(self):
        for i, token in enumerate(self.tokens):
            if i in self.wording or token.kind != "name" or token.text in KEYWORDS or i + 1 not in self.partner:
                continue
            if self.tokens[i + 1].text != "(":
                continue
            parts = self.split_arguments(i + 1)
            for (a, b), (c, d) in zip(parts, parts[1:]):
                left, right = self.span(a, b), self.span(c, d)
                if left != right and self.is_pointer(left) == self.is_pointer(right) and "ADDCOW_" not in left + right:
                    yield self.replace("swapped", a, d, f"{right}, {left}")

    def split_arguments(self, opening):
        parts, start, i = [], opening + 1, opening + 1
        while i < self.partner[opening]:
            if self.tokens[i].text == ",":
                parts.append((start, i - 1))
                start = i + 1
            i = self.partner[i] + 1 if self.tokens[i].text in "([{" and self.tokens[i].kind == "operator" else i + 1
        if start < i:
            parts.append((start, i - 1))
        return parts

    @staticmethod
    def is_pointer(text):
        return bool(
            re.match(r"&|NULL$|error$|disk$|\"|\(const|.*(?:buffer|data|path|bytes|io|opening|check|creation)$", text)
        )

    def orders(self):
        for i, token in enumerate(self.tokens):
            if i in self.wording or i + 1 not in self.partner:
                continue
            if token.text in WEAKER:
                inside = self.span(i + 2, self.partner[i + 1] - 1)
                name, weaker = WEAKER[token.text]
                for order in weaker:
                    yield self.replace("order", i, self.partner[i + 1], f"{name}({inside}, memory_order_{order})")
            elif token.text.startswith("atomic_") and token.text.endswith("_explicit"):
                yield from self.orders_of(i)

    def orders_of(self, i):
        """The weaker orders of an operation of C11. KeyError: it has an order that the table does not know."""
        places = [
            j for j in range(i + 2, self.partner[i + 1]) if self.tokens[j].text.startswith("memory_order_")
        ]
        orders = tuple(self.tokens[j].text.removeprefix("memory_order_") for j in places)
        operation = "update" if self.tokens[i].text.startswith("atomic_fetch_") else self.tokens[i].text
        for weaker in WEAKER_ORDERS[operation][orders]:
            pieces = [
                (self.tokens[j].start, self.tokens[j].end, f"memory_order_{order}")
                for j, order in zip(places, weaker)
                if self.tokens[j].text != f"memory_order_{order}"
            ]
            yield Mutation(self.name, "order", pieces)

    def locks(self):
        """The function without its locks."""
        pieces = []
        for i, token in enumerate(self.tokens):
            if token.text in ("sync_lock", "sync_unlock"):
                end = self.statement_end(i)
                pieces.append((token.start, self.tokens[end].end, ";"))
        if pieces:
            yield Mutation(self.name, "unlocked", pieces)

    def all(self):
        for rule in (
            self.operators,
            self.constants,
            self.statements,
            self.errors,
            self.conditions,
            self.arguments,
            self.orders,
            self.locks,
        ):
            yield from rule()


def rules_of(match, text):
    """All mutations of the function that `match` of FUNCTION found, by the rules of this file."""
    return Function(match, text).all()


def orders_of_header(match, text):
    return Function(match, text).orders()


def mutations_of(file, text, rules=None, prefix=""):
    """All mutations of a file of fast/, in the order of the text; FILE:FUNCTION:NUMBER:KIND names each.

    Of a header only the memory orders are weakened, in its inline functions. `rules` gives the mutations of a function;
    `prefix` comes before their numbers.
    """
    result, seen = [], set()
    numbers, occurrences = Counter(), Counter()
    rules = rules or (orders_of_header if file.endswith(".h") else rules_of)
    for match in FUNCTION.finditer(text):
        function = match.group("name")
        for mutation in sorted(rules(match, text), key=lambda one: one.pieces[0][0]):
            mutation.finish(file, text)
            if mutation.text in seen or mutation.text == text:
                continue
            seen.add(mutation.text)
            numbers[function] += 1
            occurrences[mutation.key] += 1
            mutation.name = f"{file}:{function}:{prefix}{numbers[function]}:{mutation.kind}"
            if occurrences[mutation.key] > 1:  # the same line occurs twice in the function
                mutation.key = (*mutation.key, occurrences[mutation.key])
            result.append(mutation)
    return result
